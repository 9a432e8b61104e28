package backend

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

func TestTurns(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		want    []int32
	}{
		{nil, nil},
		{[]int{7}, nil},
		{[]int{3, 3, 3}, nil},
		{[]int{5, 1, 1}, []int32{0, 0, 1, 0, 2, 0, 0}},
		{[]int{10, 20}, []int32{1, 0, 1}},
	} {
		if got := turns(tc.weights); !slices.Equal(got, tc.want) {
			t.Errorf("%v: %v, want %v", tc.weights, got, tc.want)
		}
	}
}

// TestTurnsShare draws weights at random: each endpoint gets its share of a
// round, whose length is bounded.
func TestTurnsShare(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		weights := make([]int, 2+rnd.IntN(20))
		sum := 0
		for i := range weights {
			weights[i] = 1 + rnd.IntN([]int{3, 100, 100000}[rnd.IntN(3)])
			sum += weights[i]
		}
		got := turns(weights)
		if got == nil {
			continue // all the same
		}
		if len(got) > turnsMost+len(weights) {
			t.Fatalf("%v: a round of %d", weights, len(got))
		}
		count := make([]int, len(weights))
		for _, i := range got {
			count[i]++
		}
		for i, w := range weights {
			want := float64(w) / float64(sum) * float64(len(got))
			if math.Abs(float64(count[i])-want) > 2+want/50 {
				t.Errorf("%v: %d of %d turns for %d, want %.1f", weights, count[i], len(got), i, want)
			}
		}
	}
}

// spread picks n times and returns how often each endpoint of p was.
func spread(p *Pool, n int, call func(i int) *Call) []int {
	pl := p.plan.Load()
	got := make([]int, len(pl.endpoints))
	for i := range n {
		e, _ := pl.pick(call(i), uint64(i), p.now())
		got[slices.Index(pl.endpoints, e)]++
	}
	return got
}

// one picks for c.
func one(p *Pool, c *Call) *Endpoint {
	e, _ := p.plan.Load().pick(c, uint64(p.cursor.Add(1)), p.now())
	return e
}

func any1(int) *Call { return &Call{} }

// near reports whether each of got is within part of its share.
func near(got []int, weights []float64, part float64) bool {
	var sum, n float64
	for i := range weights {
		sum += weights[i]
		n += float64(got[i])
	}
	for i, w := range weights {
		if want := n * w / sum; math.Abs(float64(got[i])-want) > want*part+1 {
			return false
		}
	}
	return true
}

// TestRoundRobin shows the shares, and that those of an endpoint that is out
// go to all others.
func TestRoundRobin(t *testing.T) {
	p, clock := newPool(t, Default(), 4)
	if got := spread(p, 4000, any1); !near(got, []float64{1, 1, 1, 1}, 0) {
		t.Errorf("equal: %v", got)
	}
	eps := addrs(4)
	eps[0].Weight, eps[1].Weight = 3, 2
	p.Set(eps)
	if got := spread(p, 7000, any1); !near(got, []float64{3, 2, 1, 1}, 0) {
		t.Errorf("weighted: %v", got)
	}
	p.Set(addrs(4))
	third := p.plan.Load().endpoints[2]
	third.report(NoConnection, nil, 0)
	if got := spread(p, 4000, any1); !near(got, []float64{1, 1, 0, 1}, 0.1) {
		t.Errorf("without the third: %v", got)
	}
	*clock = manual(third.judge.out)
	if got := spread(p, 4000, any1); got[2] != 1 {
		t.Errorf("not one request to try the third: %v", got)
	}
	third.report(Answered, nil, p.now())
	if got := spread(p, 4000, any1); !near(got, []float64{1, 1, 1, 1}, 0) {
		t.Errorf("with the third again: %v", got)
	}
}

// TestTried shows that a call goes to each endpoint once, to one that is
// ejected last.
func TestTried(t *testing.T) {
	for _, s := range []Strategy{RoundRobin, LeastRequests, Hash} {
		policy := Default()
		policy.Balance.Strategy = s
		p, _ := newPool(t, policy, 4)
		p.plan.Load().endpoints[1].report(NoConnection, nil, 0)
		for key := range uint64(20) {
			c := Call{Key: mix(key)}
			for e := one(p, &c); e != nil; e = one(p, &c) {
				c.tried = append(c.tried, e)
			}
			if len(c.tried) != 4 || c.tried[3] != p.plan.Load().endpoints[1] {
				t.Errorf("strategy %d: %d tried", s, len(c.tried))
			}
		}
	}
}

// TestLeastRequests keeps requests in flight for times at random, an endpoint
// being ten times as slow: it gets what it can do, and the others the same.
func TestLeastRequests(t *testing.T) {
	policy := Default()
	policy.Balance.Strategy = LeastRequests
	p, _ := newPool(t, policy, 5)
	rnd := rand.New(rand.NewPCG(5, 6))
	pl := p.plan.Load()
	got := make([]int, 5)
	for range 200000 {
		for i, e := range pl.endpoints {
			slow := 1.0
			if i == 0 {
				slow = 10
			}
			if e.inFlight.Load() > 0 && rnd.Float64() < 0.5/slow {
				e.inFlight.Add(-1)
			}
		}
		e := one(p, &Call{})
		e.inFlight.Add(1)
		got[slices.Index(pl.endpoints, e)]++
	}
	if got[0] > 10000 || !near(got[1:], []float64{1, 1, 1, 1}, 0.02) {
		t.Errorf("%v", got)
	}
	for _, e := range pl.endpoints {
		e.inFlight.Store(10)
	}
	eps := addrs(5)
	eps[0].Weight = 100
	p.Set(eps)
	if got := spread(p, 1000, any1); got[0] < 350 || got[0] > 450 {
		t.Errorf("of two at random the heavy one wins: %v", got)
	}
}

// TestHash shows that a key stays where it is unless its endpoint leaves, that
// endpoints get their shares of keys, and that the order in which they are
// listed says nothing.
func TestHash(t *testing.T) {
	policy := Default()
	policy.Balance.Strategy = Hash
	const keys = 20000
	eps := addrs(5)
	eps[0].Weight = 2
	p, _ := newPool(t, policy, 0)
	where := func(eps []route.Endpoint) []*Endpoint {
		p.Set(eps)
		out := make([]*Endpoint, keys)
		for i := range out {
			out[i] = one(p, &Call{Key: KeyHash([]byte{byte(i), byte(i >> 8)})})
		}
		return out
	}
	all := where(eps)
	got := make([]int, 5)
	for _, e := range all {
		got[slices.Index(p.plan.Load().endpoints, e)]++
	}
	if !near(got, []float64{2, 1, 1, 1, 1}, 0.05) {
		t.Errorf("shares of keys: %v", got)
	}
	reversed := slices.Clone(eps)
	slices.Reverse(reversed)
	if !slices.Equal(where(reversed), all) {
		t.Error("depends on the order of endpoints")
	}
	gone := p.plan.Load().endpoints[1]
	for i, e := range where(slices.Delete(reversed, 1, 2)) {
		if all[i] != gone && e != all[i] {
			t.Fatal("a key moved whose endpoint stays")
		}
	}
}

// TestHashBound shows that one key in great demand is spread.
func TestHashBound(t *testing.T) {
	policy := Default()
	policy.Balance.Strategy = Hash
	p, _ := newPool(t, policy, 4)
	pl := p.plan.Load()
	for range 1000 {
		one(p, &Call{Key: 7}).inFlight.Add(1)
	}
	for _, e := range pl.endpoints {
		if n := e.inFlight.Load(); n > 313 {
			t.Errorf("%v has %d of 1000 in flight", e.Addr(), n)
		}
	}
	policy.Balance.Bound = 0
	p.SetPolicy(new(policy))
	first := one(p, &Call{Key: 7})
	first.inFlight.Add(1000)
	if one(p, &Call{Key: 7}) != first {
		t.Error("bound where there is none")
	}
}
