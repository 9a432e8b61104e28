package backend

import (
	"slices"

	"github.com/portico-lb/portico/l7/route"
)

// A plan is a list of endpoints with the policy they are used by. It is
// replaced, never changed.
type plan struct {
	policy    Policy
	specs     []route.Endpoint
	endpoints []*Endpoint // of specs, each address once
	weights   []int       // of endpoints
	turns     []int32     // indices of endpoints, nil for one after the other
	tokens    map[string]*Endpoint
}

// apply makes a plan of specs and policy the one that is used. Endpoints that
// the one before has and that are spoken to in the same way are kept.
func (p *Pool) apply(specs []route.Endpoint, policy Policy) {
	have := p.plan.Load()
	want := &plan{policy: policy, specs: specs, endpoints: make([]*Endpoint, 0, len(specs))}
	byAddr := make(map[route.Endpoint]*Endpoint, len(have.endpoints))
	if policy.Protocol == have.policy.Protocol && policy.TLS == have.policy.TLS {
		for _, e := range have.endpoints {
			byAddr[e.spec] = e
		}
	}
	for _, spec := range specs {
		weight := max(1, spec.Weight)
		spec.Weight = 0
		if slices.ContainsFunc(want.endpoints, func(e *Endpoint) bool { return e.spec.Addr == spec.Addr }) {
			continue
		}
		e := byAddr[spec]
		if e == nil {
			e = p.newEndpoint(spec, policy)
			if len(have.endpoints) > 0 {
				e.rising.Store(p.now() | 1)
			}
		}
		want.endpoints = append(want.endpoints, e)
		want.weights = append(want.weights, weight)
	}
	want.turns = turns(want.weights)
	p.stick(want)
	p.plan.Store(want)
	p.serveQueue()
	for _, e := range have.endpoints {
		if !slices.Contains(want.endpoints, e) {
			e.remove()
		}
	}
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
	pl.tokens = make(map[string]*Endpoint, len(pl.endpoints))
	for _, e := range pl.endpoints {
		a := p.affinity(e.spec, s)
		e.affinity.Store(a)
		pl.tokens[a.token] = e
	}
}

func (p *Pool) newEndpoint(spec route.Endpoint, policy Policy) *Endpoint {
	e := &Endpoint{pool: p, spec: spec, protocol: policy.Protocol, seed: seed(spec.Addr)}
	if e.protocol == 0 {
		e.protocol = spec.Protocol
	}
	e.tls = clientTLS(p.backend, e.protocol, policy.TLS)
	return e
}
