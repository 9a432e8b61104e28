package soak

import "time"

// A scale is what differs between this machine and one that it emulates, 10 to
// 30 times slower.
type scale struct {
	every   time.Duration // between two requests of the client
	timeout time.Duration // of a request
	advert  string        // between two advertisements
	stop    string        // how long a proxy that is stopped goes on: until all checks have failed
	answers int           // so many show that service is there
	news    time.Duration // between two changes of the routes
	look    time.Duration // between two looks at who is the owner

	patience time.Duration // what is waited for without a claim
	gap      time.Duration // the longest that a fault may cost requests
	flight   time.Duration // how long before or behind a gap a request that fell into it was sent
	pair     time.Duration // the longest that two nodes may be owners beside each other

	idle, slow int // connections of a crowd
	addresses  int // come and go at once in an overflow of netlink
}

var (
	native = scale{
		every: 20 * time.Millisecond, timeout: 5 * time.Second, advert: "1s", stop: "4s", answers: 20, news: time.Second, look: 100 * time.Millisecond,
		patience: time.Minute, gap: 15 * time.Second, flight: time.Second, pair: 5 * time.Second,
		idle: 10000, slow: 1000, addresses: 4000,
	}
	// A connection takes the guest milliseconds, not memory: a crowd of 11,000
	// would be all that it does.
	guest = scale{
		every: 250 * time.Millisecond, timeout: 30 * time.Second, advert: "2s", stop: "20s", answers: 5, news: 10 * time.Second, look: 500 * time.Millisecond,
		patience: 5 * time.Minute, gap: 3 * time.Minute, flight: 5 * time.Second, pair: 30 * time.Second,
		idle: 2000, slow: 200, addresses: 1000,
	}
)
