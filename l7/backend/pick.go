package backend

import (
	"slices"
	"time"
)

// A fitness says how good an endpoint is for a call: the higher, the better.
type fitness uint8

const (
	tried     fitness = iota // it had its chance
	blocked                  // it is out, and full as well
	cut                      // it is out for want of a connection
	ejected                  // it is out for its responses
	full                     // it has as many requests as it may; waiting helps
	reluctant                // it has enough for now
	fit
)

// pick returns the endpoint whose turn it is, turn being a running number, and
// the fittest where that is not fit; nil when all were tried.
func (pl *plan) pick(c *Call, turn uint64, now int64) (*Endpoint, fitness) {
	if len(pl.endpoints) == 0 {
		return nil, tried
	}
	for {
		s := search{pl: pl, c: c, now: now, random: mix(turn)}
		s.run(turn)
		if s.best == nil || s.best.claim(now) {
			return s.best, s.fitness
		}
	}
}

// A search finds the fittest endpoint.
type search struct {
	pl     *plan
	c      *Call
	now    int64
	random uint64

	best    *Endpoint
	fitness fitness
	calm    bool // it is known that there is no panic
}

func (s *search) run(turn uint64) {
	if len(s.c.Token) > 0 && s.held() {
		return
	}
	switch s.pl.policy.Balance.Strategy {
	case LeastRequests:
		s.fewer()
	case Hash:
		s.hashed()
	default:
		s.consider(s.pl.endpoints[s.pl.turn(turn)])
	}
	if s.fitness != fit {
		s.all()
	}
}

// held finds the endpoint that the call's token names. It is waited for.
func (s *search) held() bool {
	e := s.pl.tokens[string(s.c.Token)]
	if e == nil {
		return false
	}
	f := s.of(e)
	if f == reluctant {
		f = fit
	}
	if f >= full {
		s.best, s.fitness = e, f
	}
	return f >= full
}

// turn returns whose turn it is.
func (pl *plan) turn(n uint64) int {
	if pl.turns != nil {
		return int(pl.turns[n%uint64(len(pl.turns))])
	}
	return int(n % uint64(len(pl.endpoints)))
}

// of returns the fitness of e.
func (s *search) of(e *Endpoint) fitness {
	most := s.pl.policy.Limit.Requests
	crowded := most > 0 && e.inFlight.Load() >= int64(most)
	switch out := e.out.Load(); {
	case len(s.c.tried) > 0 && slices.Contains(s.c.tried, e):
		return tried
	case out != 0 && s.excludes(out) && crowded:
		return blocked
	case out != 0 && s.excludes(out):
		if byResponse(out) {
			return ejected
		}
		return cut
	case crowded:
		return full
	}
	if since := e.rising.Load(); since != 0 && s.pl.policy.SlowStart > 0 && !s.risen(e, since) {
		return reluctant
	}
	return fit
}

// excludes reports whether an ejection holds now.
func (s *search) excludes(out int64) bool {
	if until(out) <= s.now {
		return false // one may try, see claim
	}
	return s.calm || !byResponse(out) || !s.panics()
}

// panics reports whether so many endpoints are out for their responses that it
// cannot be they that are ill. Those that take no connection do not count:
// about them there is no doubt.
func (s *search) panics() bool {
	n := 0
	for _, e := range s.pl.endpoints {
		if byResponse(e.out.Load()) {
			n++
		}
	}
	s.calm = float64(n) <= s.pl.policy.Ejection.Panic*float64(len(s.pl.endpoints))
	return !s.calm
}

// risen reports whether an endpoint that has been rising since a time takes
// the request: that of a key, or of a turn, a growing part of which it takes.
func (s *search) risen(e *Endpoint, since int64) bool {
	whole := int64(s.pl.policy.SlowStart)
	elapsed := s.now - since
	if elapsed >= whole {
		e.rising.CompareAndSwap(since, 0)
		return true
	}
	part := max(elapsed, whole/slowest)
	random := s.random
	if s.pl.policy.Balance.Strategy == Hash {
		random = s.c.Key
	}
	return mix(random^e.seed)%uint64(time.Hour) < uint64(float64(time.Hour)*float64(part)/float64(whole))
}

// slowest is what part of its share an endpoint gets from the start.
const slowest = 20

// consider looks at e and reports whether it is fit.
func (s *search) consider(e *Endpoint) bool {
	if f := s.of(e); f > s.fitness {
		s.best, s.fitness = e, f
	}
	return s.fitness == fit
}

// all considers every endpoint until one is fit, in an order at random, so that
// the neighbour of one that is not fit does not get all of its share.
func (s *search) all() {
	n := len(s.pl.endpoints)
	step := 1 + int(s.random>>33)%n
	for divisor(step, n) > 1 {
		step++
	}
	i := s.pl.turn(s.random >> 1)
	for range n {
		if s.consider(s.pl.endpoints[i]) {
			return
		}
		i = (i + step) % n
	}
}

// fewer considers two endpoints at random, the one with fewer requests for its
// weight first. That does nearly as well as to look at all, and does not send
// a crowd to the one that just came.
func (s *search) fewer() {
	n := uint64(len(s.pl.endpoints))
	if n == 1 {
		s.consider(s.pl.endpoints[0])
		return
	}
	i := s.random % n
	j := (i + 1 + s.random>>32%(n-1)) % n
	if s.pl.load(j) < s.pl.load(i) {
		i, j = j, i
	}
	_ = s.consider(s.pl.endpoints[i]) || s.consider(s.pl.endpoints[j])
}

// load is how much an endpoint has to do for its weight.
func (pl *plan) load(i uint64) float64 {
	return float64(1+pl.endpoints[i].inFlight.Load()) / float64(pl.weights[i])
}

// hashed finds the fittest endpoint that comes first in the order of the
// call's key.
func (s *search) hashed() {
	var highest float64
	bound := s.pl.bound()
	for i, e := range s.pl.endpoints {
		f := s.of(e)
		if f == fit && s.pl.load(uint64(i)) > bound {
			f = reluctant
		}
		if f == tried {
			continue
		}
		if sc := score(s.c.Key, e.seed, s.pl.weights[i]); f > s.fitness || f == s.fitness && sc > highest {
			s.best, s.fitness, highest = e, f, sc
		}
	}
}

// bound is the load above which an endpoint takes no request by its key, so
// that a few keys in great demand do not overwhelm it.
func (pl *plan) bound() float64 {
	b := pl.policy.Balance.Bound
	if b == 0 {
		return 1 << 62
	}
	requests, weight := 1, 0
	for i, e := range pl.endpoints {
		requests += int(e.inFlight.Load())
		weight += pl.weights[i]
	}
	// At least one a weight, or nobody might begin.
	return max(1, b*float64(requests)/float64(weight))
}
