package track

import (
	"fmt"
	"time"
)

// result is what one attempt found.
type result struct {
	value   int    // of a file
	failure string // "" for a pass
}

// next is the state after one more attempt at a command, L7 or a file. The
// first result decides at once: a start must not wait for fall intervals.
func (w Watch) next(s State, now time.Time, r result) State {
	pass := r.failure == ""
	s.Streak = streak(s.Streak, pass)
	if w.Kind == File {
		return s.read(now, r)
	}
	turned := pass && !s.Up && s.Streak >= w.Rise || !pass && s.Up && -s.Streak >= w.Fall
	if turned || !s.Known {
		s.Known, s.Up, s.Since = true, pass, now
	}
	// A pass on the way up does not clear the reason: it still is why the
	// watch does not hold.
	if !pass || s.Up {
		s.Reason = r.failure
	}
	return s
}

// read is the state after one more look at a file. What cannot be read counts
// as 0 only the second time: a writer truncates the file before it fills it.
func (s State) read(now time.Time, r result) State {
	if r.failure != "" && s.Known && s.Streak > -2 {
		r.value = s.Value
	}
	if !s.Known || s.Value != r.value {
		s.Since = now
	}
	s.Known, s.Up, s.Value, s.Reason = true, true, r.value, r.failure
	return s
}

func streak(n int, pass bool) int {
	switch {
	case pass && n > 0:
		return n + 1
	case pass:
		return 1
	case n < 0:
		return n - 1
	}
	return -1
}

// nextLink is the state of an interface at now; why says what is wrong with
// it, "" that nothing is. It goes down at once, and comes back when it has
// stayed up for the hold time: until the returned time, if that is not zero.
func (w Watch) nextLink(s State, now time.Time, why string) (State, time.Time) {
	if why != "" {
		if s.Up || !s.Known {
			s.Since = now
		}
		return State{Known: true, Since: s.Since, Reason: why}, time.Time{}
	}
	if s.Up {
		return s, time.Time{}
	}
	if s.back.IsZero() {
		s.back = now
	}
	if due := s.back.Add(w.Hold); s.Known && now.Before(due) {
		s.Reason = fmt.Sprintf("up again, and counts when it has stayed so for %v", w.Hold)
		return s, due
	}
	return State{Known: true, Up: true, Since: now}, time.Time{}
}
