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
