package track

import (
	"fmt"
	"strings"
	"time"
)

// maxWeight bounds weights, and what one rule can add.
const maxWeight = 253

// A State is what is known about one Watch.
type State struct {
	// Known is true from the first result on.
	Known bool
	// Up says that the watch holds. A file that can be read holds.
	Up bool
	// Since is when Up or Value last changed, or when the first result came.
	Since time.Time
	// Reason is why it does not hold, or, while it does, what the latest
	// attempt complained of.
	Reason string
	// Value is a file's number.
	Value int
	// Streak counts equal results in a row: 3 is three passes, -2 two failures.
	Streak int
	// back is since when an interface that does not hold is up again.
	back time.Time
}

// A Snapshot is what was known about all watches at one moment. It never changes.
type Snapshot struct{ states map[Watch]State }

// NewSnapshot returns a snapshot of the states, which it keeps.
func NewSnapshot(states map[Watch]State) *Snapshot { return &Snapshot{states} }

// State returns what is known about w: the zero State when nothing is. A nil
// Snapshot knows nothing.
func (s *Snapshot) State(w Watch) State {
	if s == nil {
		return State{}
	}
	return s.states[w]
}

// A Verdict is what rules mean for a group. It is comparable; the zero Verdict
// changes nothing.
type Verdict struct {
	// Delta is to be added to the configured priority; the sum may be out of range.
	Delta int
	// Fault is why the group must not be served here; "" when it may.
	Fault string
}

// Judge says what the rules make of what is known. A watch without a result
// is taken to hold: a start is no failure.
func Judge(rules []Rule, s *Snapshot) Verdict {
	var v Verdict
	var faults []string
	for _, r := range rules {
		delta, fault := r.effect(s.State(r.Watch))
		v.Delta += delta
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	v.Fault = strings.Join(faults, "; ")
	return v
}

// effect is what one rule adds, or the fault it finds.
func (r Rule) effect(s State) (delta int, fault string) {
	up := s.Up || !s.Known
	switch {
	case r.Kind == File && r.Weight == 0 && s.Value != 0:
		return 0, fmt.Sprintf("%s: the number is %d", r.Watch, s.Value)
	case r.Kind == File:
		// The value has the size of a weight, so the product cannot overflow.
		return min(max(s.Value*r.Weight, -maxWeight), maxWeight), ""
	case r.Weight == 0 && !up:
		return 0, fmt.Sprintf("%s: %s", r.Watch, s.Reason)
	case r.Weight < 0 && !up, r.Weight > 0 && up:
		return r.Weight, ""
	}
	return 0, ""
}

// Pending reports whether a watch of the rules has no result yet.
func Pending(rules []Rule, s *Snapshot) bool {
	for _, r := range rules {
		if !s.State(r.Watch).Known {
			return true
		}
	}
	return false
}
