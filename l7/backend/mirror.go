package backend

import "sync/atomic"

// copiesMost is how many copies of requests may be under way to one backend, or
// wait for the end of a body. It bounds what a mirror that is slow or dead can
// cost.
const copiesMost = 128

// copying is what a Pool knows of the copies that it gets. Nobody sees the
// responses to them, nobody waits for them, and none is sent again.
type copying struct {
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

// A CopyStatus tells of the copies of requests that a backend gets as a mirror.
type CopyStatus struct {
	InFlight int64  `json:"in_flight"`
	Answered uint64 `json:"answered"`
	Failed   uint64 `json:"failed"`
	// Unfit are requests that are not copied: their bodies are longer than the
	// mirror wants or did not come whole, or they become tunnels.
	Unfit uint64 `json:"unfit"`
	// Dropped are those for which there was no room.
	Dropped uint64 `json:"dropped"`
}

// BeginCopy reports whether there is room for the copy of a request. The caller
// ends it with EndCopy.
func (p *Pool) BeginCopy() bool {
	c := p.copying.Load()
	if c == nil { // most backends get none
		p.copying.CompareAndSwap(nil, new(copying))
		c = p.copying.Load()
	}
	if c.inFlight.Add(1) <= copiesMost {
		return true
	}
	p.EndCopy(CopyDropped)
	return false
}

// EndCopy counts what became of a copy.
func (p *Pool) EndCopy(o CopyOutcome) {
	c := p.copying.Load()
	c.inFlight.Add(-1)
	c.outcomes[o].Add(1)
}

// status returns nil where there never was a copy.
func (c *copying) status() *CopyStatus {
	s := CopyStatus{
		InFlight: c.inFlight.Load(),
		Answered: c.outcomes[CopyAnswered].Load(),
		Failed:   c.outcomes[CopyFailed].Load(),
		Unfit:    c.outcomes[CopyUnfit].Load(),
		Dropped:  c.outcomes[CopyDropped].Load(),
	}
	if s == (CopyStatus{}) {
		return nil
	}
	return &s
}
