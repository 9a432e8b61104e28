package vip

import (
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// historyLength is how many transitions of a group are remembered.
const historyLength = 32

// Transition is a change of a group's state.
type Transition struct {
	// Seq grows by one from transition to transition of the group; the first is 1.
	Seq    uint64     `json:"seq"`
	At     time.Time  `json:"at"`
	From   vrrp.State `json:"from"`
	To     vrrp.State `json:"to"`
	Reason string     `json:"reason"`
}

// Cause counts the transitions of a group to a state for a reason.
type Cause struct {
	To vrrp.State `json:"to"`
	// Reason is one of package vrrp's: what hindered a group in Fault is told
	// by its history.
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// moved counts a transition.
func (c *counts) moved(to vrrp.State, reason string) {
	if to == vrrp.Fault {
		reason = string(vrrp.Faulty)
	}
	for i := range c.causes {
		if c.causes[i].To == to && c.causes[i].Reason == reason {
			c.causes[i].Count++
			return
		}
	}
	c.causes = append(c.causes, Cause{to, reason, 1})
}

// history is the latest transitions, oldest first. What it returned once never changes.
type history []Transition

func (h history) add(t Transition) history {
	if len(h) > 0 {
		t.Seq = h[len(h)-1].Seq + 1
	} else {
		t.Seq = 1
	}
	return append(slices.Clone(h[max(0, len(h)+1-historyLength):]), t)
}
