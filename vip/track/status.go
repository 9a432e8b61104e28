package track

import (
	"fmt"
	"time"
)

// A RuleStatus is a rule of one group and what it does now.
type RuleStatus struct {
	// Rule is as it is configured: "interface eth1 weight -50".
	Rule string `json:"rule"`
	Up   bool   `json:"up"`
	// Pending says that there is no result yet, and the rule is taken to hold.
	Pending bool `json:"pending,omitempty"`
	// Since is when the rule last changed.
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Effect is what the rule adds to the priority now, such as "-50", or
	// "fault"; "" when it changes nothing.
	Effect string `json:"effect,omitempty"`
}

// Show is what the rules do by the snapshot, in their order.
func Show(rules []Rule, s *Snapshot) []RuleStatus {
	var rs []RuleStatus
	for _, r := range rules {
		st := s.State(r.Watch)
		delta, fault := r.effect(st)
		v := RuleStatus{Rule: r.String(), Up: (st.Up || !st.Known) && fault == "", Pending: !st.Known, Since: st.Since, Reason: st.Reason}
		switch {
		case fault != "":
			v.Effect = "fault"
		case delta != 0:
			v.Effect = fmt.Sprintf("%+d", delta)
		}
		if r.Kind == File && st.Known && v.Reason == "" {
			v.Reason = fmt.Sprintf("the number is %d", st.Value)
		}
		rs = append(rs, v)
	}
	return rs
}

// String is the rule as it is configured.
func (r Rule) String() string {
	if r.Weight == 0 {
		return r.Watch.String()
	}
	return fmt.Sprintf("%s weight %d", r.Watch, r.Weight)
}
