package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Timeline is what became of a Prober's requests. Its times count from the
// Prober's start, on one monotonic clock.
type Timeline struct {
	Attempts []Attempt     // in the order of their ends
	Skipped  int           // not sent, because too many were unanswered
	End      time.Duration // when the Prober was stopped
}

// An Attempt is one request.
type Attempt struct {
	Sent, Ended time.Duration
	Server      string // who answered
	Err         error  // why nobody did
}

// A Gap is a time without an answer.
type Gap struct{ From, To time.Duration }

// Length is how long the gap is.
func (g Gap) Length() time.Duration { return g.To - g.From }

// LongestGap is the longest time that passed from one answer to the next, as
// the client saw it. The times before the first answer and after the last
// count as well, so that a service that never came back shows.
func (tl Timeline) LongestGap() Gap {
	answers := []time.Duration{0}
	for _, a := range tl.Attempts {
		if a.Err == nil {
			answers = append(answers, min(a.Ended, tl.End))
		}
	}
	answers = append(answers, tl.End)
	slices.Sort(answers)
	var longest Gap
	for i, to := range answers[1:] {
		if g := (Gap{answers[i], to}); g.Length() > longest.Length() {
			longest = g
		}
	}
	return longest
}

// Failed are the requests without an answer.
func (tl Timeline) Failed() []Attempt {
	var failed []Attempt
	for _, a := range tl.Attempts {
		if a.Err != nil {
			failed = append(failed, a)
		}
	}
	return failed
}

// Slowest is the longest time an answer took.
func (tl Timeline) Slowest() time.Duration {
	var d time.Duration
	for _, a := range tl.Attempts {
		if a.Err == nil {
			d = max(d, a.Ended-a.Sent)
		}
	}
	return d
}

// Tally counts the requests by who answered and why nobody did.
func (tl Timeline) Tally() Tally {
	t := Tally{Sent: len(tl.Attempts), By: map[string]int{}, Errors: map[string]int{}}
	for _, a := range tl.Attempts {
		if a.Err != nil {
			t.Errors[reason(a.Err)]++
			continue
		}
		t.Answered++
		t.By[a.Server]++
	}
	return t
}

// failuresShown is how many failed requests String lists.
const failuresShown = 10

// String is the figures, and the first of the failed requests.
func (tl Timeline) String() string {
	var b strings.Builder
	gap := tl.LongestGap()
	fmt.Fprintf(&b, "%v; longest gap %v (from %v), slowest answer %v", tl.Tally(), ms(gap.Length()), ms(gap.From), ms(tl.Slowest()))
	if tl.Skipped > 0 {
		fmt.Fprintf(&b, "; %d not sent", tl.Skipped)
	}
	failed := tl.Failed()
	for i, a := range failed {
		if i == failuresShown {
			fmt.Fprintf(&b, "\n  and %d more", len(failed)-i)
			break
		}
		fmt.Fprintf(&b, "\n  sent %v, ended %v: %v", ms(a.Sent), ms(a.Ended), a.Err)
	}
	return b.String()
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
