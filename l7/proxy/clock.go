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

func (c *clock) advance() { c.nanos.Store(int64(time.Since(c.start))) }

// A deadline says until when the present wait of a connection may last. The
// connection moves it on with one store a phase; a sweeper compares it with
// the clock, so that no timer is armed per request. A cut is final: the
// connection finds it at its next move.
//
// The word holds nanoseconds of the clock, shifted left by one to make place
// for the idle flag; 0 means no limit.
type deadline struct{ word atomic.Int64 }

// Cuts, as words.
const (
	cutTimeout int64 = -1 // the deadline has passed
	cutDrain   int64 = -2 // the connection was idle when the drain began
	cutKill    int64 = -3 // the drain is over
)

// move sets the deadline and reports whether the connection may go on.
func (d *deadline) move(until int64, idle bool) bool {
	word := until << 1
	if idle {
		word |= 1
	}
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
	return old > 0 && old>>1 < now && d.word.CompareAndSwap(old, cutTimeout)
}

// cutIdle cuts an idle connection and reports whether it did.
func (d *deadline) cutIdle() bool {
	old := d.word.Load()
	return old > 0 && old&1 == 1 && d.word.CompareAndSwap(old, cutDrain)
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
		if d.word.CompareAndSwap(old, until<<1) {
			return true
		}
	}
}
