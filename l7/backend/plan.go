package backend

import (
	"slices"

	"github.com/portico-lb/portico/l7/route"
)

// A plan is a list of endpoints with the policy they are used by. It is
// replaced, never changed.
type plan struct {
	policy    *Policy // mostly that of other pools as well
	specs     []route.Endpoint
	endpoints []*Endpoint // of specs, each address once
	leaving   []*Endpoint // those that only clients with their tokens get to
	weights   []int       // of endpoints
	turns     []int32     // indices of endpoints, nil for one after the other
	tokens    map[string]*Endpoint
}

// apply makes a plan of specs and policy the one that is used.
func (p *Pool) apply(specs []route.Endpoint, policy *Policy) {
	have := p.plan.Load()
	want := p.follow(have, specs, policy)
	p.plan.Store(want)
	p.serveQueue()
	kept := want.all()
	for _, e := range have.all() {
		if !slices.Contains(kept, e) {
			e.remove()
		}
	}
}

// follow makes a plan of specs and policy, behind the one that is used. Endpoints
// that this has and that are spoken to in the same way are kept.
func (p *Pool) follow(have *plan, specs []route.Endpoint, policy *Policy) *plan {
	n := len(specs)
	want := &plan{policy: policy, specs: specs, endpoints: make([]*Endpoint, 0, n), weights: make([]int, 0, n)}
	byAddr := make(map[route.Endpoint]*Endpoint, len(have.endpoints))
	if policy.Protocol == have.policy.Protocol && policy.TLS == have.policy.TLS {
		for _, e := range have.all() {
			byAddr[e.spec] = e
		}
	}
	for _, spec := range specs {
		weight, leaving := max(1, spec.Weight), spec.Leaving
		spec.Weight, spec.Leaving = 0, false
		if leaving && policy.Sticky.Cookie == "" {
			continue
		}
		if slices.ContainsFunc(want.all(), func(e *Endpoint) bool { return e.spec.Addr == spec.Addr }) {
			continue
		}
		e := byAddr[spec]
		if e == nil {
			e = p.newEndpoint(spec, policy)
			if len(have.endpoints) > 0 {
				e.rising.Store(p.now() | 1)
			}
		}
		if leaving {
			want.leaving = append(want.leaving, e)
			continue
		}
		want.endpoints = append(want.endpoints, e)
		want.weights = append(want.weights, weight)
	}
	want.turns = turns(want.weights)
	p.stick(want)
	return want
}

// all returns the endpoints, those that are leaving last.
func (pl *plan) all() []*Endpoint {
	if len(pl.leaving) == 0 {
		return pl.endpoints
	}
	return slices.Concat(pl.endpoints, pl.leaving)
}

// stick gives each endpoint of pl its cookie.
func (p *Pool) stick(pl *plan) {
	s := pl.policy.Sticky
	if s.Cookie == "" {
		for _, e := range pl.endpoints {
			e.affinity.Store(nil)
		}
		return
	}
	pl.tokens = make(map[string]*Endpoint)
	for _, e := range pl.all() {
		a := p.affinity(e.spec, s)
		e.affinity.Store(a)
		pl.tokens[a.token] = e
	}
}

func (p *Pool) newEndpoint(spec route.Endpoint, policy *Policy) *Endpoint {
	e := &Endpoint{pool: p, spec: spec, protocol: policy.Protocol, seed: seed(spec.Addr)}
	if e.protocol == 0 {
		e.protocol = spec.Protocol
	}
	e.tls = clientTLS(p.backend, e.protocol, policy.TLS)
	return e
}
