package backend

import "slices"

// A fitness says how good an endpoint is for a call: the higher, the better.
type fitness uint8

const (
	tried     fitness = iota // it had its chance
	ailing                   // it is asked last
	reluctant                // it has enough for now
	fit
)

// fitness returns that of e, turn being a running number.
func (pl *plan) fitness(e *Endpoint, c *Call, now int64) fitness {
	switch {
	case len(c.tried) > 0 && slices.Contains(c.tried, e):
		return tried
	case e.ailing.Load() > now:
		return ailing
	}
	return fit
}

// pick returns the endpoint whose turn it is, the fittest where that is not
// fit; nil when all were tried.
func (p *Pool) pick(pl *plan, c *Call, now int64) *Endpoint {
	if len(pl.endpoints) == 0 {
		return nil
	}
	s := search{pl: pl, c: c, now: now}
	turn := p.cursor.Add(1)
	if len(c.Token) > 0 {
		if e := pl.tokens[string(c.Token)]; e != nil && pl.fitness(e, c, now) >= reluctant {
			return e
		}
	}
	switch pl.policy.Balance.Strategy {
	case LeastRequests:
		s.fewer(mix(uint64(turn)))
	case Hash:
		s.hashed()
	default:
		s.consider(pl.endpoints[pl.turn(uint64(turn))])
	}
	if s.fitness != fit {
		s.all(mix(uint64(turn)))
	}
	return s.best
}

// turn returns whose turn it is.
func (pl *plan) turn(n uint64) int {
	if pl.turns != nil {
		return int(pl.turns[n%uint64(len(pl.turns))])
	}
	return int(n % uint64(len(pl.endpoints)))
}

// A search finds the fittest endpoint.
type search struct {
	pl  *plan
	c   *Call
	now int64

	best    *Endpoint
	fitness fitness
}

// consider looks at e and reports whether it is fit.
func (s *search) consider(e *Endpoint) bool {
	if f := s.pl.fitness(e, s.c, s.now); f > s.fitness {
		s.best, s.fitness = e, f
	}
	return s.fitness == fit
}

// all considers every endpoint until one is fit, from anywhere and either way,
// so that the neighbour of one that is not fit does not get all of its share.
func (s *search) all(random uint64) {
	n := len(s.pl.endpoints)
	i, step := s.pl.turn(random>>1), 1
	if random&1 == 0 {
		step = n - 1
	}
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
func (s *search) fewer(random uint64) {
	n := uint64(len(s.pl.endpoints))
	if n == 1 {
		s.consider(s.pl.endpoints[0])
		return
	}
	i := random % n
	j := (i + 1 + random>>32%(n-1)) % n
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
		f := s.pl.fitness(e, s.c, s.now)
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
