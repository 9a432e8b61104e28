package health

import "time"

// A State is what is known about one Check.
type State struct {
	// Up is the verdict; false while nothing is known.
	Up bool `json:"up"`
	// Known is true from the first answer on.
	Known bool `json:"known"`
	// Since is when Up last changed, or when the first answer came.
	Since time.Time `json:"since,omitzero"`
	// Fell is true while the server is down and has been up before: Since is
	// when it fell. One that was down from the first answer on never fell.
	Fell bool `json:"fell,omitempty"`
	// Percent of its weight is what the server wants, 0 to 100. It means
	// something while the server is up.
	Percent int `json:"percent"`
	// Reason is why the server is down, or, while it is up, why its latest
	// attempt failed or did not tell its weight. Empty when there is nothing to
	// complain about.
	Reason string `json:"reason,omitempty"`
	// Last is when the latest attempt ended.
	Last time.Time `json:"last,omitzero"`
	// Streak counts equal answers in a row: 3 is three passes, -2 two
	// failures.
	Streak int `json:"streak"`
}

// An answer is what one attempt brought.
type answer struct {
	Answer
	failure string // "" for a pass
	refused bool   // nobody listens
}

// judge returns the state after one more answer.
//
// The first answer decides at once: a daemon that has just started would
// otherwise send nothing to good servers for rise × interval.
func judge(s State, c Check, now time.Time, a answer) State {
	pass := a.failure == ""
	s.Last = now
	s.Streak = streak(s.Streak, pass)
	fallen := -s.Streak >= c.Fall || a.refused && !c.CountRefused
	turned := pass && !s.Up && s.Streak >= c.Rise || !pass && s.Up && fallen
	if !s.Known {
		s.Percent = whole
	}
	if turned || !s.Known {
		s.Known, s.Up, s.Since, s.Fell = true, pass, now, turned && !pass
	}
	// A server that says nothing wants what it wanted before.
	if pass && a.Percent >= 0 {
		s.Percent = a.Percent
	}
	// A pass on the way up does not clear the reason: the server is still
	// down, and that is still why.
	switch {
	case !pass:
		s.Reason = a.failure
	case s.Up:
		s.Reason = a.Fault
	}
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
