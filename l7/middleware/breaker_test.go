package middleware_test

import (
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

// A crowd asks through a middleware, at times that a test tells.
type crowd struct {
	t *testing.T
	m Middleware
}

// ask makes a request at a time, which ends so; it returns how long to wait,
// "" where the request went through.
func (c crowd) ask(at time.Duration, o Outcome) string {
	r := &Request{Begun: begun.Add(at)}
	a := c.m.Handle(c.t.Context(), r)
	if a == nil {
		r.Done(o)
		return ""
	}
	r.Done(Outcome{Status: a.Status})
	if a.Status != 503 {
		c.t.Fatalf("answer %+v", a)
	}
	return a.Header.Get("Retry-After")
}

// count asks as often, and returns how many requests went through.
func (c crowd) count(at time.Duration, n int, o Outcome) (passed int) {
	for i := range n {
		if c.ask(at+time.Duration(i)*time.Millisecond, o) == "" {
			passed++
		}
	}
	return passed
}

var (
	fine   = Outcome{Status: 200, Forwarded: true}
	failed = Outcome{Status: 502, Forwarded: true, Failed: true}
)

// TestCircuitBreaker follows one through its states.
func TestCircuitBreaker(t *testing.T) {
	c := crowd{t, CircuitBreaker{Expression: "NetworkErrorRatio() > 0.5"}.New(env())}
	const s = time.Second
	if n := c.count(0, 100, fine); n != 100 {
		t.Fatalf("%d of 100 passed while all is fine", n)
	}
	if n := c.count(s, 100, failed); n != 100 {
		t.Fatalf("%d of 100 passed, want all: a half is not more than a half", n)
	}
	if n := c.count(2*s, 300, failed); n == 300 || n > 201 {
		t.Fatalf("%d of 300 passed once more than a half has failed", n)
	}
	if wait := c.ask(3*s, fine); wait != "10" && wait != "9" {
		t.Errorf("to wait %q s, want what is left of 10", wait)
	}
	if n := c.count(11*s, 100, fine); n != 0 {
		t.Errorf("%d passed while open", n)
	}
	// A tenth after a tenth of the time, and so on.
	for i, want := range []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100} {
		if n := c.count(time.Duration(i)*s+12500*time.Millisecond, 100, fine); n < want-5 || n > want+5 {
			t.Errorf("%d of 100 passed %d s after it began to recover, want about %d", n, i, want)
		}
	}
}

// TestCircuitBreakerRelapses checks that failures while it recovers open it
// again, and that requests of before do not count then.
func TestCircuitBreakerRelapses(t *testing.T) {
	c := crowd{t, CircuitBreaker{Expression: "NetworkErrorRatio() >= 0.5", Open: time.Second, Recovery: time.Second}.New(env())}
	late := &Request{Begun: begun}
	c.m.Handle(t.Context(), late)
	c.ask(0, failed)
	if c.ask(500*time.Millisecond, fine) == "" {
		t.Fatal("not open")
	}
	if c.ask(1500*time.Millisecond, fine) != "" {
		t.Fatal("does not recover")
	}
	late.Done(Outcome{Status: 502, Forwarded: true, Failed: true, Duration: 1600 * time.Millisecond})
	if c.ask(2400*time.Millisecond, fine) != "" && c.ask(2401*time.Millisecond, fine) != "" {
		t.Fatal("opened because of a request of before")
	}
	for ms := range 5 {
		c.ask(time.Duration(2600+ms)*time.Millisecond, failed)
	}
	c.ask(2700*time.Millisecond, failed) // looked at
	if c.ask(2800*time.Millisecond, fine) == "" {
		t.Error("did not open again")
	}
}

// TestCircuitBreakerCounts checks what is counted, and for how long.
func TestCircuitBreakerCounts(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Outcome
		open bool
	}{
		{"failed", failed, true},
		{"not forwarded", Outcome{Status: 401, Failed: true}, false},
		{"client gone", Outcome{Forwarded: true}, false},
		{"no response", Outcome{Forwarded: true, Failed: true}, true},
	} {
		c := crowd{t, CircuitBreaker{Expression: "NetworkErrorRatio() > 0"}.New(env())}
		c.ask(0, tc.o)
		if got := c.ask(time.Second, fine) != ""; got != tc.open {
			t.Errorf("%s: open %v", tc.name, got)
		}
	}
	// Failures are forgotten after ten seconds; the condition is looked at not
	// more often than every so often.
	c := crowd{t, CircuitBreaker{Expression: "NetworkErrorRatio() > 0 && ResponseCodeRatio(200, 201, 0, 600) > 0", Check: time.Second}.New(env())}
	c.ask(0, failed)
	c.ask(500*time.Millisecond, fine) // not looked at
	if c.ask(10500*time.Millisecond, fine) != "" || c.ask(12*time.Second, fine) != "" {
		t.Error("opened by a failure of long ago")
	}
}

// TestCircuitBreakerLatency checks quantiles.
func TestCircuitBreakerLatency(t *testing.T) {
	for _, tc := range []struct {
		expr string
		open bool
	}{
		{"LatencyAtQuantileMS(50) > 55", false},
		{"LatencyAtQuantileMS(50) > 45", true},
		{"LatencyAtQuantileMS(99) > 92", true},
		{"LatencyAtQuantileMS(99) > 107", false},
		{"LatencyAtQuantileMS(100) < 1", false},
	} {
		c := crowd{t, CircuitBreaker{Expression: tc.expr, Check: 150 * time.Millisecond}.New(env())}
		took := func(ms int) Outcome {
			return Outcome{Status: 200, Forwarded: true, Endpoint: time.Duration(ms) * time.Millisecond}
		}
		c.ask(0, took(50)) // looked at
		for i := range 100 {
			c.ask(time.Duration(i)*time.Millisecond, took(i+1))
		}
		c.ask(200*time.Millisecond, took(50)) // looked at
		if got := c.ask(time.Second, fine) != ""; got != tc.open {
			t.Errorf("%s: open %v", tc.expr, got)
		}
	}
}
