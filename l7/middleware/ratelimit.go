package middleware

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/portico-lb/portico/l7/value"
)

// RateLimit answers 429 to those who ask too often.
type RateLimit struct {
	Key Key `json:"key,omitzero"`
	// Rates all hold; a request that one of them refuses counts in none.
	Rates []Rate `json:"rates"`
}

// A Rate is how many requests of one key may come: Average in each Period, and
// Burst at once after a pause.
type Rate struct {
	Average float64       `json:"average"` // above 0
	Period  time.Duration `json:"period"`  // above 0
	Burst   int           `json:"burst"`   // 1 or more
}

// Kind is its name in the configuration.
func (RateLimit) Kind() string { return "rate_limit" }

// New returns the middleware.
func (s RateLimit) New(Env) Middleware {
	return &rateLimit{hasher: newHasher(s.Key), limiter: newLimiter(s.Rates), start: time.Now()}
}

type rateLimit struct {
	hasher  hasher
	limiter *limiter
	start   time.Time
}

// Handle counts r, or refuses it.
func (m *rateLimit) Handle(_ context.Context, r *Request) *Answer {
	wait := m.limiter.take(r.Begun.Sub(m.start), m.hasher.of(r))
	if wait == 0 {
		return nil
	}
	seconds := (wait + time.Second - 1) / time.Second
	return &Answer{
		Status: http.StatusTooManyRequests,
		Header: Header{{"Retry-After", strconv.Itoa(int(seconds))}},
		Reason: "too many requests",
	}
}

// keysMost is how many keys a rate remembers at least, and half of how many at
// most: 3 MB of memory.
const keysMost = 1 << 16

// A limiter counts requests by the generic cell rate algorithm: of each key it
// knows the time at which all its requests would have come, had they come
// evenly.
type limiter struct {
	mu    sync.Mutex
	rates []cells // guarded by mu
}

// cells are the keys of one rate. Those that were used since born are young.
// Old ones go when the young become old: by then they are even again, unless
// there are very many.
type cells struct {
	every, room time.Duration // of a request, of a burst
	young, old  map[uint64]time.Duration
	born        time.Duration
}

// longest is beyond what anybody waits for, and sums of it are in range.
const longest = 25 * 365 * 24 * time.Hour

func newLimiter(rates []Rate) *limiter {
	l := &limiter{}
	for _, r := range rates {
		every := time.Duration(max(1, min(float64(r.Period)/r.Average, float64(longest))))
		room := every * min(time.Duration(r.Burst), longest/every)
		l.rates = append(l.rates, cells{every: every, room: room, young: map[uint64]time.Duration{}})
	}
	return l
}

// take counts a request at now and returns 0, or returns how long it comes too
// early.
func (l *limiter) take(now time.Duration, key uint64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for i := range l.rates {
		c := &l.rates[i]
		wait = max(wait, c.next(now, key)-c.room-now)
	}
	if wait > 0 {
		return wait
	}
	for i := range l.rates {
		c := &l.rates[i]
		next := c.next(now, key)
		c.age(now)
		c.young[key] = next
	}
	return 0
}

// next returns the time of key behind one more request.
func (c *cells) next(now time.Duration, key uint64) time.Duration {
	even, ok := c.young[key]
	if !ok {
		even, ok = c.old[key]
	}
	if !ok {
		even = now
	}
	return max(even, now) + c.every
}

// age forgets the old keys where they are even, or the young ones too many.
func (c *cells) age(now time.Duration) {
	if now-c.born >= c.room || len(c.young) >= keysMost {
		c.old, c.young, c.born = c.young, make(map[uint64]time.Duration, len(c.young)/4), now
	}
}

// A RateLimitSection is rate_limit = {...}.
type RateLimitSection struct {
	Key   string        `toml:"key"`
	Depth *int          `toml:"depth"`
	Rates []RateSection `toml:"rates"`
}

// A RateSection is one of its rates.
type RateSection struct {
	Average float64 `toml:"average"`
	Period  string  `toml:"period"`
	Burst   *int    `toml:"burst"`
}

// Parse checks s.
func (s RateLimitSection) Parse(p value.Parser) Step {
	out := RateLimit{Key: parseKey(p, s.Key, s.Depth)}
	if len(s.Rates) == 0 {
		p.Bad("rates", "missing: want one or more, such as { average = 10, burst = 20 }")
	}
	for i, r := range s.Rates {
		out.Rates = append(out.Rates, r.parse(p.In(fmt.Sprintf("rates[%d]", i))))
	}
	return out
}

func (s RateSection) parse(p value.Parser) Rate {
	r := Rate{
		Average: value.Number(p, &s.Average, "average", 1, 0.001, 1e9),
		Period:  p.Span(s.Period, "period", time.Second, time.Millisecond, 30*24*time.Hour),
	}
	r.Burst = value.Number(p, s.Burst, "burst", max(1, int(r.Average)), 1, 1e9)
	return r
}
