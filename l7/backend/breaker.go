package backend

import "time"

// Breaker stops asking a backend whose requests fail anyhow.
type Breaker struct {
	// Share is how many of the requests of the last 10 s must fail, 0.5 for
	// half, and Requests how many there must be at least. 0 is off.
	Share    float64
	Requests int
	// Open is how long nobody is sent there then. Afterwards requests go one
	// at a time, until a few in a row go well.
	Open time.Duration
}

// A BreakerState says whom a breaker lets through.
type BreakerState uint8

// The states.
const (
	Closed   BreakerState = iota // all
	Open                         // nobody
	HalfOpen                     // one at a time
)

// String returns s in words.
func (s BreakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

const (
	// A breaker remembers outcomes for breakerTerms times breakerTerm.
	breakerTerms = 10
	breakerTerm  = int64(time.Second)
	// breakerTrials is how many must go well in a row before all may.
	breakerTrials = 3
	// trialTime is how long the outcome of one that was let through alone is
	// waited for; then the next one is.
	trialTime = int64(2 * time.Second)
)

// A breaker is one backend's.
type breaker struct {
	state BreakerState
	// until is when an open one becomes half open, and when a half open one
	// lets the next through.
	until int64
	good  int // in a row, while it is half open
	term  int64
	terms [breakerTerms]struct{ well, ill int }
}

// allow reports whether a request may go at now.
func (b *breaker) allow(now int64) bool {
	switch {
	case b.state == Closed:
		return true
	case now < b.until:
		return false
	}
	b.state, b.until = HalfOpen, now+trialTime
	return true
}

// record takes note of how a request went.
func (b *breaker) record(well bool, now int64, p Breaker) {
	switch b.state {
	case Open:
		return // sent before
	case HalfOpen:
		b.tried(well, now, p)
		return
	}
	b.advance(now / breakerTerm)
	t := &b.terms[b.term%breakerTerms]
	if well {
		t.well++
		return
	}
	t.ill++
	var ill, all int
	for _, t := range b.terms {
		ill += t.ill
		all += t.ill + t.well
	}
	if all >= p.Requests && float64(ill) >= p.Share*float64(all) {
		b.state, b.until = Open, now+int64(p.Open)
	}
}

// tried takes note of a request that was let through alone.
func (b *breaker) tried(well bool, now int64, p Breaker) {
	if !well {
		b.state, b.until, b.good = Open, now+int64(p.Open), 0
		return
	}
	b.until = now
	if b.good++; b.good >= breakerTrials {
		*b = breaker{term: now / breakerTerm}
	}
}

// advance forgets the terms that lie too far before term.
func (b *breaker) advance(term int64) {
	for i := max(b.term+1, term-breakerTerms+1); i <= term; i++ {
		b.terms[i%breakerTerms] = struct{ well, ill int }{}
	}
	b.term = max(b.term, term)
}
