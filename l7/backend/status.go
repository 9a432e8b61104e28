package backend

import (
	"net/netip"
	"time"

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
	// Breaker is closed, open or half-open.
	Breaker string `json:"breaker"`
	// Queued is how many requests wait for an endpoint that has room, now;
	// Rejected counts those for whom there was none in time.
	Queued   int    `json:"queued"`
	Rejected uint64 `json:"rejected,omitempty"`
	// Copies are those of requests that it gets as a mirror, nil where there
	// was none.
	Copies *CopyStatus `json:"copies,omitempty"`
}

// An EndpointStatus tells of one endpoint.
type EndpointStatus struct {
	Addr        netip.AddrPort  `json:"addr"`
	Protocol    string          `json:"protocol,omitempty"`
	Leaving     bool            `json:"leaving,omitempty"` // only for clients with its cookie
	Requests    uint64          `json:"requests"`
	InFlight    int             `json:"in_flight"`
	Idle        int             `json:"idle"` // pooled connections, and those of HTTP/2
	FailedDials uint64          `json:"failed_dials"`
	Ejected     *EjectionStatus `json:"ejected,omitempty"` // nil where it is not
}

// An EjectionStatus tells why an endpoint is asked last.
type EjectionStatus struct {
	Why string `json:"why"`
	// Until is when a request may try it again; all do once that went well.
	Until time.Time `json:"until"`
	Times int       `json:"times"` // in a row
}

// Status returns what the pool does now.
func (p *Pool) Status() Status {
	p.mu.Lock()
	s := Status{
		Backend:         p.backend,
		Retries:         p.retries.Load(),
		RetriesWithheld: p.withheld,
		Breaker:         Closed.String(),
		Queued:          len(p.waiting),
		Rejected:        p.rejected,
	}
	if p.breaker != nil {
		s.Breaker = p.breaker.state.String()
	}
	p.mu.Unlock()
	pl := p.plan.Load()
	if c := p.copying.Load(); c != nil {
		s.Copies = c.status()
	}
	for i, e := range pl.all() {
		es := e.status(p.now())
		es.Leaving = i >= len(pl.endpoints)
		s.Endpoints = append(s.Endpoints, es)
	}
	return s
}

func (e *Endpoint) status(now int64) EndpointStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := EndpointStatus{
		Addr:        e.spec.Addr,
		Protocol:    e.protocol.String(),
		Requests:    e.requests,
		InFlight:    int(e.inFlight.Load()),
		Idle:        len(e.idle) + len(e.h2),
		FailedDials: e.unmade,
	}
	if j := &e.judge; j.out != 0 {
		s.Ejected = &EjectionStatus{Why: j.why.String(), Until: time.Now().Add(time.Duration(j.out - now)).UTC(), Times: j.times}
	}
	return s
}
