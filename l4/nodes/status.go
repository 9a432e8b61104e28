package nodes

import (
	"time"

	"github.com/portico-lb/portico/l4"
)

// A Status is what a Follower knows, and how.
type Status struct {
	// From is the API server that is asked.
	From string `json:"from,omitempty"`
	// Error is why it cannot be read since ErrorSince; empty when it can.
	Error      string           `json:"error,omitempty"`
	ErrorSince time.Time        `json:"error_since,omitzero"`
	Selectors  []SelectorStatus `json:"selectors"`
}

// A SelectorStatus is one selector.
type SelectorStatus struct {
	Selector string    `json:"selector"`
	Nodes    []l4.Node `json:"nodes"`
	// LeftOut are the Nodes that have the labels and cannot serve. Held says
	// that none can, and that therefore the last ones stay.
	LeftOut []LeftOut `json:"left_out,omitempty"`
	Held    bool      `json:"held,omitempty"`
	// Changed is when Nodes became what they are, Read how fresh that is: when
	// the API last said so, in this run or in an earlier one. The zero time
	// means never.
	Changed time.Time `json:"changed,omitzero"`
	Read    time.Time `json:"read,omitzero"`
}

// Status describes the Follower. It is nil where nothing is followed.
func (f *Follower) Status() *Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.cfg.Selectors) == 0 {
		return nil
	}
	f.touch(time.Now())
	st := &Status{Error: f.fault, ErrorSince: f.faultSince}
	if f.source != nil {
		st.From, st.Error, st.ErrorSince = f.source.Status()
	}
	for _, selector := range f.cfg.Selectors {
		s := f.sets[selector]
		st.Selectors = append(st.Selectors, SelectorStatus{
			Selector: selector, Nodes: s.Nodes, LeftOut: s.out, Held: s.held, Changed: s.Changed, Read: s.Read,
		})
	}
	return st
}
