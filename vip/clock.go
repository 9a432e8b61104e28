package vip

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock tells a time that goes on while the computer is suspended. Go's own
// (CLOCK_MONOTONIC) does not, so that a node that slept for an hour would not
// know it. A virtual machine's pause may be hidden from both clocks.
type clock struct {
	begin time.Duration // how long it had slept when the clock was made
	slept time.Duration // how long it has since
}

func newClock() *clock { return &clock{begin: suspended()} }

// now is for comparison with other results of it alone.
func (c *clock) now() time.Time {
	// The two clocks are not read in the same moment.
	if s := suspended() - c.begin; s > c.slept+time.Millisecond {
		c.slept = s
	}
	return time.Now().Add(c.slept)
}

func (c *clock) until(t time.Time) time.Duration { return t.Sub(c.now()) }

// sinceBoot is a clock that goes on while the computer is suspended.
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // no Linux refuses it
	return time.Duration(t.Nano())
}

// suspended is how long the computer has slept since it was started.
func suspended() time.Duration {
	var awake, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0
	}
	return time.Duration(all.Nano() - awake.Nano())
}
