package proxy

import (
	"sync/atomic"
	"time"
)

// A clock is read by every request and therefore coarse: the sweepers move it
// on, a grain at a time.
type clock struct {
	start time.Time
	nanos atomic.Int64
}

// now returns nanoseconds since the start, up to a grain late.
func (c *clock) now() int64 { return c.nanos.Load() }

// exact is how long ago the start was.
func (c *clock) exact() time.Duration { return time.Since(c.start) }

func (c *clock) advance() { c.nanos.Store(int64(time.Since(c.start))) }

// A deadline says until when the present wait of a connection may last. The
// connection moves it on with one store a phase; a sweeper compares it with
// the clock, so that no timer is armed per request. A cut is final: the
// connection finds it at its next move.
//
// The word holds nanoseconds of the clock, shifted left to make place for the
// phase; 0 means no limit.
type deadline struct{ word atomic.Int64 }

// A phase is what a connection waits for, as a drain has to know it.
type phase int64

// The phases.
const (
	busy phase = 0 // in the middle of something
	idle phase = 1 // for a request

	phaseBits = 1
)

func deadlineWord(until int64, w phase) int64 { return until<<phaseBits | int64(w) }

// Cuts, as words.
const (
	cutTimeout int64 = -1 // the deadline has passed
	cutKill    int64 = -2 // the drain is over
)

// move sets the deadline and reports whether the connection may go on.
func (d *deadline) move(until int64, w phase) bool {
	word := deadlineWord(until, w)
	for {
		old := d.word.Load()
		if old < 0 {
			return false
		}
		if d.word.CompareAndSwap(old, word) {
			return true
		}
	}
}

// expire cuts a connection whose time is over and reports whether it did.
func (d *deadline) expire(now int64) bool {
	old := d.word.Load()
	return old > 0 && old>>phaseBits < now && d.word.CompareAndSwap(old, cutTimeout)
}

// hurry shortens the wait for a request. A deadline that is moved at the same
// time is left to whoever moves it.
func (d *deadline) hurry(until int64) {
	old := d.word.Load()
	if old > 0 && old&int64(idle) != 0 && old>>phaseBits > until {
		d.word.CompareAndSwap(old, deadlineWord(until, idle))
	}
}

// kill cuts the connection whatever it does.
func (d *deadline) kill() { d.word.Store(cutKill) }

// cut returns the cut, 0 for none.
func (d *deadline) cut() int64 { return min(d.word.Load(), 0) }

// revive takes back a cut that a connection has noticed, but not a kill.
func (d *deadline) revive(until int64) bool {
	for {
		old := d.word.Load()
		if old == cutKill {
			return false
		}
		if d.word.CompareAndSwap(old, deadlineWord(until, busy)) {
			return true
		}
	}
}
