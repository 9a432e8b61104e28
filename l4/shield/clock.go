package shield

import "time"

const (
	// look is how often the clock on the wall is compared with the steady one.
	look = time.Minute
	// slack is how far the two may go apart before the ends of orders are told
	// anew.
	slack = time.Second
)

// An instant is what both clocks show at one time: that on the wall, which is
// set now and then, and one that is not.
type instant struct {
	wall   time.Time
	steady time.Duration
}

// clocks returns how to read both.
func clocks() func() instant {
	start := time.Now()
	return func() instant {
		now := time.Now()
		return instant{wall: now.Round(0), steady: now.Sub(start)}
	}
}

// set reports by how much the clock on the wall was set between two instants,
// and whether that is more than clocks differ.
func (i instant) set(later instant) (by time.Duration, much bool) {
	by = later.wall.Sub(i.wall) - (later.steady - i.steady)
	return by, by.Abs() > slack
}
