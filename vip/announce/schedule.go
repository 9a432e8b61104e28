package announce

import "time"

// The schedule of a take-over: keepalived's garp_master_repeat and
// garp_master_delay, proven in the field. The second burst is for switches
// that were still learning during the first.
const (
	Repeat      = 5
	SecondBurst = 5 * time.Second
)

// pause keeps two routers that cannot hear each other, and so answer every
// advertisement with an announcement, from flooding the link.
const pause = time.Second

// Schedule says when to send the bursts for one group of addresses. The zero
// value has nothing to send.
type Schedule struct {
	next   time.Time // of the next burst; zero: none
	last   time.Time // of the latest burst
	second bool      // the next burst is the second one
}

// Start begins anew with a burst at once.
func (s *Schedule) Start(now time.Time) {
	*s = Schedule{next: now, last: s.last}
}

// Again begins anew because another claimed the addresses, no sooner than
// a second after the latest burst.
func (s *Schedule) Again(now time.Time) {
	if earliest := s.last.Add(pause); now.Before(earliest) {
		now = earliest
	}
	if s.next.IsZero() || s.second {
		*s = Schedule{next: now, last: s.last}
	}
}

// Stop forgets what was to be sent.
func (s *Schedule) Stop() { *s = Schedule{last: s.last} }

// Next is when the next burst is due; the zero time means never.
func (s *Schedule) Next() time.Time { return s.next }

// Take reports whether a burst is due, and counts it as sent.
func (s *Schedule) Take(now time.Time) bool {
	if s.next.IsZero() || now.Before(s.next) {
		return false
	}
	s.last = now
	if s.second {
		s.next = time.Time{}
	} else {
		s.next = now.Add(SecondBurst)
	}
	s.second = !s.second
	return true
}
