package announce

import "time"

// The schedule of a take-over: keepalived's garp_master_repeat and
// garp_master_delay, proven in the field. The second burst is for switches
// that were still learning during the first; the refresh is for who was away
// during both, and for caches that another host has misled without a word that
// reached us.
const (
	Repeat      = 5
	SecondBurst = 5 * time.Second
	Refresh     = time.Minute
)

// pause keeps two hosts that both want an address, and so answer every claim
// of the other, from flooding the link.
const pause = time.Second

// Schedule says when to announce one group of addresses, and how often each.
// The zero value has nothing to send.
type Schedule struct {
	burst  time.Time // when the next burst is due; zero: none
	second bool      // it is the second one
	single time.Time // when a single announcement is due; zero: none
	last   time.Time // of the latest announcement
}

// Start begins anew with a burst at once.
func (s *Schedule) Start(now time.Time) {
	*s = Schedule{burst: now, last: s.last}
}

// Again begins anew because neighbours may have learnt otherwise, no sooner
// than a second after the latest announcement.
func (s *Schedule) Again(now time.Time) {
	if s.burst.IsZero() || s.second {
		*s = Schedule{burst: s.polite(now), last: s.last}
	}
}

// Defend announces once because another host claimed an address, no sooner
// than a second after the latest announcement.
func (s *Schedule) Defend(now time.Time) {
	if t := s.polite(now); s.single.IsZero() || t.Before(s.single) {
		s.single = t
	}
}

func (s *Schedule) polite(now time.Time) time.Time {
	if earliest := s.last.Add(pause); now.Before(earliest) {
		return earliest
	}
	return now
}

// Next is when Take is due; the zero time means never.
func (s *Schedule) Next() time.Time {
	if s.burst.IsZero() || !s.single.IsZero() && s.single.Before(s.burst) {
		return s.single
	}
	return s.burst
}

// Take returns how often to announce each address now, and counts that as
// done. A refresh follows after the given time.
func (s *Schedule) Take(now time.Time, refresh time.Duration) (times int) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case due(s.burst):
		times = Repeat
		if s.burst = now.Add(SecondBurst); s.second {
			s.burst = time.Time{}
		}
		s.second = !s.second
	case due(s.single):
		times = 1
	default:
		return 0
	}
	s.last, s.single = now, now.Add(refresh)
	return times
}
