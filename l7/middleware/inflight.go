package middleware

import (
	"context"
	"net/http"
	"sync"

	"github.com/portico-lb/portico/l7/value"
)

// InFlight answers 429 to those who have Most requests under way already.
type InFlight struct {
	Key  Key `json:"key,omitzero"`
	Most int `json:"most"` // 1 or more
}

// Kind is its name in the configuration.
func (InFlight) Kind() string { return "in_flight" }

// New returns the middleware.
func (s InFlight) New(Env) Middleware {
	return &inFlight{most: s.Most, hasher: newHasher(s.Key), count: map[uint64]int{}}
}

type inFlight struct {
	most   int
	hasher hasher

	mu    sync.Mutex
	count map[uint64]int // of those with one or more
}

// Handle counts r until it is done, or refuses it.
func (m *inFlight) Handle(_ context.Context, r *Request) *Answer {
	key := m.hasher.of(r)
	if !m.begin(key) {
		return &Answer{Status: http.StatusTooManyRequests, Reason: "too many requests at once"}
	}
	r.OnDone(func(Outcome) { m.end(key) })
	return nil
}

func (m *inFlight) begin(key uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count[key] >= m.most {
		return false
	}
	m.count[key]++
	return true
}

func (m *inFlight) end(key uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count[key]--; m.count[key] == 0 {
		delete(m.count, key)
	}
}

// An InFlightSection is in_flight = {...}.
type InFlightSection struct {
	Key   string `toml:"key"`
	Depth *int   `toml:"depth"`
	Most  int    `toml:"most"`
}

// Parse checks s.
func (s InFlightSection) Parse(p value.Parser) Step {
	return InFlight{
		Key:  parseKey(p, s.Key, s.Depth),
		Most: value.Number(p, &s.Most, "most", 1, 1, 1e6),
	}
}
