package backend

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestBreaker opens one, and closes it by requests that go one at a time.
func TestBreaker(t *testing.T) {
	p := Breaker{Share: 0.5, Requests: 10, Open: 5 * time.Second}
	var b breaker
	now := int64(time.Hour)
	record := func(n int, well bool) {
		for range n {
			b.record(well, now, p)
		}
	}
	want := func(step string, state BreakerState, allowed bool) {
		t.Helper()
		was := b
		if got := was.allow(now); got != allowed || b.state != state {
			t.Errorf("%s: %v, allowed %v", step, b.state, got)
		}
	}
	record(9, false)
	want("too few", Closed, true)
	now += 11 * int64(time.Second)
	record(6, false)
	want("the old ones do not count", Closed, true)
	record(7, true)
	record(1, false)
	want("7 of 14", Open, false)
	record(100, true)
	now += int64(p.Open) - 1
	want("still", Open, false)
	now++
	if !b.allow(now) || b.allow(now) {
		t.Error("not one alone")
	}
	want("while that is out", HalfOpen, false)
	now += trialTime
	if !b.allow(now) {
		t.Error("the first is waited for for ever")
	}
	record(1, false)
	want("it failed", Open, false)
	now += int64(p.Open)
	for range breakerTrials {
		if !b.allow(now) || b.allow(now) {
			t.Error("not one alone")
		}
		record(1, true)
	}
	want("they went well", Closed, true)
	record(9, false)
	want("nothing is remembered", Closed, true)
	record(1, false)
	want("but what came then", Open, false)
}

// TestBreakerModel compares it, while it is closed, with one that remembers
// each outcome.
func TestBreakerModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	p := Breaker{Share: 0.6, Requests: 20, Open: time.Second}
	type outcome struct {
		term int64
		well bool
	}
	for range 500 {
		var b breaker
		var all []outcome
		now := rnd.Int64N(int64(time.Hour))
		for b.state == Closed && len(all) < 2000 {
			now += rnd.Int64N(int64(time.Second) / 2)
			if rnd.IntN(50) == 0 {
				now += rnd.Int64N(int64(30 * time.Second))
			}
			well := rnd.Float64() < 0.5
			b.record(well, now, p)
			all = append(all, outcome{now / breakerTerm, well})
			var n, ill float64
			for _, o := range all {
				if o.term > now/breakerTerm-breakerTerms {
					n++
					if !o.well {
						ill++
					}
				}
			}
			if open := !well && n >= 20 && ill >= 0.6*n; open != (b.state == Open) {
				t.Fatalf("%v of %v failed: %v", ill, n, b.state)
			}
		}
	}
}
