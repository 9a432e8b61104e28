package backend

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	r := Retries{Share: 0.2, Floor: 2}
	second := int64(time.Second)
	for _, tc := range []struct {
		name     string
		from     budget
		now      int64
		requests uint32
		want     int
	}{
		{"at the start: the floor of 10 s", newBudget(0), 0, 0, 20},
		{"spent", budget{}, 0, 0, 0},
		{"100 requests at once", budget{}, 0, 100, 20},
		{"a second without requests", budget{seen: 100}, second, 100, 2},
		{"a second with 100 requests", budget{seen: 100}, second, 200, 22},
		{"what was saved wears off", budget{tokens: 50}, 5 * second, 0, 25 + 10},
		{"long without requests", budget{tokens: 50}, 1000 * second, 0, 20},
		{"1000 requests in 100 s: those of the last 10", budget{tokens: 50}, 100 * second, 1000, 40},
		{"a count that ran over", budget{seen: 1<<32 - 50}, 0, 50, 20},
	} {
		got := 0
		for b := tc.from; got < 1000 && b.draw(r, tc.now, tc.requests); {
			got++
		}
		if got != tc.want {
			t.Errorf("%s: %d retries, want %d", tc.name, got, tc.want)
		}
	}
}

// TestBudgetBounds draws whenever it can, under random loads: the sum stays
// under what was earned and what could be saved up before, and a retry is
// always to be had after a pause.
func TestBudgetBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r := Retries{Share: rnd.Float64(), Floor: 1 + 10*rnd.Float64()}
		b := newBudget(0)
		var now, retries int64
		var requests uint32
		for range 1000 {
			now += rnd.Int64N(int64(time.Second))
			requests += rnd.Uint32N(20)
			for b.draw(r, now, requests) {
				retries++
			}
		}
		most := r.Share*float64(requests) + r.Floor*(time.Duration(now)+budgetWindow).Seconds()
		if float64(retries) > most+1 {
			t.Fatalf("%+v: %d retries of %d requests in %v", r, retries, requests, time.Duration(now))
		}
		if !b.draw(r, now+int64(time.Second), requests) {
			t.Fatalf("%+v: no retry after a second", r)
		}
	}
}
