package backend

import (
	"sync/atomic"

	"github.com/portico-lb/portico/l7/route"
)

// A Mirror has copies of requests sent to another backend. Nobody sees the
// responses to them, nobody waits for them, and none is sent again.
type Mirror struct {
	// To is the backend that gets the copies.
	To route.Backend
	// Percent is the share of the requests that are copied, 0 to 100.
	Percent float64
	// Body is the longest request body that is copied, in bytes.
	Body int64
}

// copiesMost is how many copies of one backend's requests may be under way, or
// wait for the end of a body. It bounds what a mirror that is slow or dead can
// cost.
const copiesMost = 128

// mirroring is what a Pool does for its mirror.
type mirroring struct {
	turn     atomic.Uint64
	inFlight atomic.Int64
	outcomes [copyOutcomes]atomic.Uint64
}

// A CopyOutcome is what became of the copy of a request.
type CopyOutcome uint8

// The outcomes.
const (
	CopyAnswered CopyOutcome = iota // the mirror answered
	CopyFailed                      // it did not, or not in time
	CopyUnfit                       // the body is too long or did not come whole, or it is a tunnel
	CopyDropped                     // too many are under way

	copyOutcomes
)

// A MirrorStatus tells of a backend's mirror.
type MirrorStatus struct {
	To       route.Backend `json:"to"`
	InFlight int64         `json:"in_flight"`
	Answered uint64        `json:"answered"`
	Failed   uint64        `json:"failed"`
	// Unfit are requests that are not copied: their bodies are longer than the
	// mirror wants or did not come whole, or they become tunnels.
	Unfit uint64 `json:"unfit"`
	// Dropped are those for which there was no room.
	Dropped uint64 `json:"dropped"`
}

// CopyDue reports whether the request at hand is one of those to be copied.
func (p *Pool) CopyDue() bool { return p.Policy().Mirror.due(p.mirroring.turn.Add(1)) }

// due reports whether the request of a turn is copied. The multiples of the
// golden ratio fill the circle evenly, so that the share holds over few
// requests as over many, and with requests that come in a pattern.
func (m *Mirror) due(turn uint64) bool {
	const golden = 0x9e3779b97f4a7c15
	return float64(turn*golden>>11) < m.Percent/100*(1<<53)
}

// BeginCopy reports whether there is room for a copy. The caller ends it with
// EndCopy.
func (p *Pool) BeginCopy() bool {
	if p.mirroring.inFlight.Add(1) <= copiesMost {
		return true
	}
	p.EndCopy(CopyDropped)
	return false
}

// EndCopy counts what became of a copy.
func (p *Pool) EndCopy(o CopyOutcome) {
	p.mirroring.inFlight.Add(-1)
	p.mirroring.outcomes[o].Add(1)
}

// status returns nil where there is no mirror.
func (m *mirroring) status(policy Mirror) *MirrorStatus {
	if policy.Percent == 0 {
		return nil
	}
	return &MirrorStatus{
		To:       policy.To,
		InFlight: m.inFlight.Load(),
		Answered: m.outcomes[CopyAnswered].Load(),
		Failed:   m.outcomes[CopyFailed].Load(),
		Unfit:    m.outcomes[CopyUnfit].Load(),
		Dropped:  m.outcomes[CopyDropped].Load(),
	}
}
