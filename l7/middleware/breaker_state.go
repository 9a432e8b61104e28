package middleware

import "time"

// A circuit is closed as long as requests go through.
type circuit uint8

const (
	closed circuit = iota
	open
	recovering
)

// A breaker decides which requests go through. It reads no clock.
type breaker struct {
	counter               *counter
	check, open, recovery time.Duration

	state   circuit
	since   time.Time // of the state
	checked time.Time // when the condition was looked at last
	// period counts how often the circuit has opened: what ends in another one
	// than it began in is not counted.
	period uint64
	// credit is how many requests may go through while recovering: each that
	// comes brings the part of one that is let through by then.
	credit float64
}

// admit decides about a request at now: it goes through, in a period, or is to
// wait for so long.
func (b *breaker) admit(now time.Time) (period uint64, wait time.Duration) {
	if b.state == open {
		if wait := b.since.Add(b.open).Sub(now); wait > 0 {
			return 0, wait
		}
		b.enter(recovering, now)
	}
	if b.state == recovering {
		part := float64(now.Sub(b.since)) / float64(b.recovery)
		switch {
		case part >= 1:
			b.enter(closed, now)
		case b.credit+part < 1:
			b.credit += part
			return 0, time.Second
		default:
			b.credit += part - 1
		}
	}
	return b.period, 0
}

// done takes how a request ended at now that was let through.
func (b *breaker) done(o Outcome, period uint64, now time.Time) {
	if period != b.period || b.state == open {
		return
	}
	b.counter.count(o, now)
	if now.Sub(b.checked) < b.check {
		return
	}
	b.checked = now
	if b.counter.condition.holds(b.counter.last(now)) {
		b.enter(open, now)
		b.counter.reset()
		b.period++
	}
}

func (b *breaker) enter(state circuit, now time.Time) {
	b.state, b.since, b.credit = state, now, 1 // for the first one, which tries
}
