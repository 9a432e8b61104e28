package backend

import (
	"net/netip"

	"github.com/portico-lb/portico/l7/route"
)

// A Status tells of one backend's pool.
type Status struct {
	Backend   route.Backend    `json:"backend"`
	Endpoints []EndpointStatus `json:"endpoints"`
	// Retries counts requests that went to another connection because the
	// first died without an answer, or could not be made.
	Retries uint64 `json:"retries"`
	// RetriesWithheld counts those that the budget did not allow.
	RetriesWithheld uint64 `json:"retries_withheld,omitempty"`
}

// An EndpointStatus tells of one endpoint.
type EndpointStatus struct {
	Addr        netip.AddrPort `json:"addr"`
	Requests    uint64         `json:"requests"`
	InFlight    int            `json:"in_flight"`
	Idle        int            `json:"idle"` // pooled connections
	FailedDials uint64         `json:"failed_dials"`
}

// Status returns what the pool does now.
func (p *Pool) Status() Status {
	p.mu.Lock()
	s := Status{Backend: p.backend, Retries: p.retries.Load(), RetriesWithheld: p.withheld}
	p.mu.Unlock()
	for _, ep := range p.plan.Load().endpoints {
		ep.mu.Lock()
		s.Endpoints = append(s.Endpoints, EndpointStatus{
			Addr:        ep.spec.Addr,
			Requests:    ep.requests,
			InFlight:    int(ep.inFlight.Load()),
			Idle:        len(ep.idle),
			FailedDials: ep.failures,
		})
		ep.mu.Unlock()
	}
	return s
}
