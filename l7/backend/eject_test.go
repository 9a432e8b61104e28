package backend

import (
	"context"
	"testing"
	"time"
)

// fail has an endpoint fail as often as is needed to be ejected.
func fail(p *Pool, e *Endpoint) {
	for range p.Policy().Ejection.Failures {
		e.report(GatewayError, nil, p.now())
	}
}

// TestPanic ejects one endpoint after the other by its responses: while they
// are few, the others get their requests; when they are more, all do. Those
// that take no connection are asked last all the same.
func TestPanic(t *testing.T) {
	p, _ := newPool(t, Default(), 5)
	eps := p.plan.Load().endpoints
	for i, want := range [][]float64{{1, 1, 1, 1, 1}, {0, 1, 1, 1, 1}, {0, 0, 1, 1, 1}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}} {
		if i > 0 {
			fail(p, eps[i-1])
		}
		if got := spread(p, 5000, any1); !near(got, want, 0.15) {
			t.Errorf("%d ejected: %v", i, got)
		}
	}
	p, _ = newPool(t, Default(), 5)
	eps = p.plan.Load().endpoints
	for i := range 4 {
		eps[i].report(NoConnection, nil, 0)
	}
	if got := spread(p, 5000, any1); got[4] != 5000 {
		t.Errorf("those without a connection: %v", got)
	}
	fail(p, eps[4])
	if got := spread(p, 100, any1); got[4] != 100 {
		t.Errorf("all ejected: %v", got)
	}
}

// TestEjectionStays shows that an ejection outlives a change of endpoints and
// of the policy.
func TestEjectionStays(t *testing.T) {
	p, _ := newPool(t, Default(), 4)
	fail(p, p.plan.Load().endpoints[0])
	policy := Default()
	policy.Retries.Attempts++
	p.SetPolicy(new(policy))
	p.Set(addrs(5))
	if got := spread(p, 1000, any1); got[0] != 0 {
		t.Errorf("%v", got)
	}
	if s := p.Status().Endpoints[0]; s.Ejected == nil || s.Ejected.Why != "gateway error" || s.Ejected.Times != 1 {
		t.Errorf("%+v", s)
	}
}

// TestIdleRace shows that a kept connection that died is no fault, and a new
// one is.
func TestIdleRace(t *testing.T) {
	p, _ := newPool(t, Default(), 2)
	e := p.plan.Load().endpoints[0]
	for _, reused := range []bool{true, false} {
		for range 10 {
			(&Conn{ep: e, reused: reused}).Report(Died)
		}
		if out := e.out.Load() != 0; out == reused {
			t.Errorf("reused %v: ejected %v", reused, out)
		}
	}
}

// TestSlowStart shows how the share of an endpoint grows that came beside
// others, under each strategy.
func TestSlowStart(t *testing.T) {
	policy := Default()
	policy.SlowStart = 10 * time.Second
	policy.Balance.Bound = 0
	for _, s := range []Strategy{RoundRobin, LeastRequests, Hash} {
		policy.Balance.Strategy = s
		p, clock := newPool(t, policy, 3)
		key := func(i int) *Call { return &Call{Key: mix(uint64(i))} }
		if got := spread(p, 6000, key); !near(got, []float64{1, 1, 1}, 0.1) {
			t.Errorf("strategy %d: the first endpoints: %v", s, got)
		}
		p.Set(addrs(4))
		for _, tc := range []struct {
			after time.Duration
			share float64
		}{{0, 0.05}, {5 * time.Second, 0.5}, {9 * time.Second, 0.9}, {10 * time.Second, 1}} {
			*clock = manual(tc.after)
			got := spread(p, 20000, key)
			of := 5000 * tc.share
			if s == LeastRequests {
				of = 5000 // of two at random
				of = min(of, of*tc.share*1.2)
			}
			if n := float64(got[3]); n < of*0.8-20 || n > of*1.2+20 {
				t.Errorf("strategy %d after %v: %v, want about %.0f", s, tc.after, got, of)
			}
		}
	}
}

// TestSlowReturn shows that an endpoint that was ejected rises as a new one.
func TestSlowReturn(t *testing.T) {
	policy := Default()
	policy.SlowStart = 10 * time.Second
	p, clock := newPool(t, policy, 2)
	e := p.plan.Load().endpoints[0]
	e.report(NoConnection, nil, 0)
	*clock = manual(2 * time.Second)
	e.report(Answered, nil, p.now())
	if got := spread(p, 10000, any1); got[0] < 100 || got[0] > 500 {
		t.Errorf("%v", got)
	}
	*clock = manual(12 * time.Second)
	if got := spread(p, 10000, any1); !near(got, []float64{1, 1}, 0) {
		t.Errorf("%v", got)
	}
}

// TestSlowKeys shows that a key does not waver while an endpoint rises.
func TestSlowKeys(t *testing.T) {
	policy := Default()
	policy.SlowStart = 10 * time.Second
	policy.Balance.Strategy = Hash
	p, clock := newPool(t, policy, 3)
	p.Set(addrs(4))
	*clock = manual(5 * time.Second)
	for key := range uint64(1000) {
		c := Call{Key: mix(key)}
		first := one(p, &c)
		if again := one(p, &c); again != first {
			t.Fatalf("key %d wavers", key)
		}
	}
}

// TestBreakerOfPool shows that an open breaker refuses, and that requests that
// failed open it.
func TestBreakerOfPool(t *testing.T) {
	policy := Default()
	policy.Breaker = Breaker{Share: 0.5, Requests: 4, Open: time.Second}
	p, clock := newPool(t, policy, 1)
	b := &Conn{ep: p.plan.Load().endpoints[0]}
	for range 4 {
		b.Report(TimedOut)
	}
	if _, refusal := p.Connect(context.Background(), &Call{}); refusal != Broken || refusal.Status() != 503 {
		t.Errorf("refusal %v", refusal)
	}
	if s := p.Status(); s.Breaker != "open" {
		t.Errorf("%+v", s)
	}
	*clock = manual(time.Second)
	p.Set(nil)
	if _, refusal := p.Connect(context.Background(), &Call{}); refusal != NoEndpoint {
		t.Errorf("refusal %v", refusal)
	}
}
