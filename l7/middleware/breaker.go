package middleware

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/portico-lb/portico/l7/value"
)

// CircuitBreaker answers 503 for a while when a condition over the last ten
// seconds is met, and then lets through more and more again.
type CircuitBreaker struct {
	// Expression is the condition, in Traefik's language: NetworkErrorRatio(),
	// ResponseCodeRatio(from, to, dividedFrom, dividedTo) and
	// LatencyAtQuantileMS(quantile), compared with numbers by > >= < <= == !=
	// (or GT GE LT LE EQ NEQ), joined by && || ! (or AND OR NOT). A latency is
	// that of the response's head. CheckExpression tells whether it is one.
	Expression string `json:"expression"`
	// Check is how often it is looked at, 0 is 100 ms.
	Check time.Duration `json:"check,omitempty"`
	// Open is how long all is answered 503 then, 0 is 10 s.
	Open time.Duration `json:"open,omitempty"`
	// Recovery is how long it takes until all is let through again, 0 is 10 s.
	Recovery time.Duration `json:"recovery,omitempty"`
}

// What a CircuitBreaker takes where it is told nothing else.
const (
	defaultCheck    = 100 * time.Millisecond
	defaultOpen     = 10 * time.Second
	defaultRecovery = 10 * time.Second
)

// Kind is its name in the configuration.
func (CircuitBreaker) Kind() string { return "circuit_breaker" }

// New returns the middleware.
func (s CircuitBreaker) New(env Env) Middleware {
	c, err := parseCondition(s.Expression)
	if err != nil {
		// CheckExpression has refused it: nothing is ever broken.
		c = &condition{holds: func(*tally) bool { return false }}
	}
	return &circuitBreaker{
		log: env.Log,
		breaker: breaker{
			counter:  newCounter(c),
			check:    cmp.Or(s.Check, defaultCheck),
			open:     cmp.Or(s.Open, defaultOpen),
			recovery: cmp.Or(s.Recovery, defaultRecovery),
		},
	}
}

type circuitBreaker struct {
	log *slog.Logger

	mu sync.Mutex
	breaker
}

// Handle answers 503 while the circuit is open.
func (m *circuitBreaker) Handle(_ context.Context, r *Request) *Answer {
	m.mu.Lock()
	was := m.state
	period, wait := m.admit(r.Begun)
	m.report(was)
	m.mu.Unlock()
	if wait > 0 {
		seconds := int64((wait + time.Second - 1) / time.Second)
		return &Answer{
			Status: http.StatusServiceUnavailable,
			Header: Header{{"Retry-After", strconv.FormatInt(seconds, 10)}},
			Reason: "too many requests have failed of late, or took too long",
		}
	}
	begun := r.Begun
	r.OnDone(func(o Outcome) {
		if !o.Forwarded || o.Status == 0 && !o.Failed {
			return // it tells nothing about the endpoints
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		was := m.state
		m.done(o, period, begun.Add(o.Duration))
		m.report(was)
	})
	return nil
}

// report logs a change.
func (m *circuitBreaker) report(was circuit) {
	if m.state == was {
		return
	}
	switch m.state {
	case open:
		m.log.Warn("circuit breaker opened", "for", m.open)
	case recovering:
		m.log.Info("circuit breaker lets requests through again", "all_after", m.recovery)
	case closed:
		m.log.Info("circuit breaker closed")
	}
}

// A CircuitBreakerSection is circuit_breaker = {...}.
type CircuitBreakerSection struct {
	Expression string `toml:"expression"`
	Check      string `toml:"check"`
	Open       string `toml:"open"`
	Recovery   string `toml:"recovery"`
}

// Parse checks s.
func (s CircuitBreakerSection) Parse(p value.Parser) Step {
	if err := CheckExpression(s.Expression); err != nil {
		p.Bad("expression", fmt.Sprintf("%q: %v", s.Expression, err))
	}
	return CircuitBreaker{
		Expression: s.Expression,
		Check:      p.Span(s.Check, "check", defaultCheck, time.Millisecond, time.Minute),
		Open:       p.Span(s.Open, "open", defaultOpen, time.Millisecond, time.Hour),
		Recovery:   p.Span(s.Recovery, "recovery", defaultRecovery, time.Millisecond, time.Hour),
	}
}
