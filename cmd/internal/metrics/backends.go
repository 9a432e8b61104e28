package metrics

import (
	"github.com/portico-lb/portico/l7/backend"
)

// maxBackends is how many backends have samples of their own; the others are
// added up as otherBackends. Endpoints have none: Pods come and go, and each
// would leave time series behind.
const (
	maxBackends   = 500
	otherBackends = "other"
)

// load is what a backend does, or several do.
type load struct {
	ready, ejected, leaving, inFlight, idle, queued, open int
	retries, withheld, rejected                           uint64
}

func (l *load) add(s backend.Status) {
	for _, e := range s.Endpoints {
		switch {
		case e.Leaving:
			l.leaving++
		case e.Ejected != nil:
			l.ejected++
		default:
			l.ready++
		}
		l.inFlight += e.InFlight
		l.idle += e.Idle
	}
	l.queued += s.Queued
	if s.Breaker != "closed" {
		l.open++
	}
	l.retries += s.Retries
	l.withheld += s.RetriesWithheld
	l.rejected += s.Rejected
}

// backends tells of them in their order.
func (o out) backends(all []backend.Status) {
	endpoints := o.gauge("portico_l7_backend_endpoints", "Endpoints of the backend: ready, ejected for a while, or leaving.", "backend", "state")
	inFlight := o.gauge("portico_l7_backend_requests_in_flight", "Requests that endpoints of the backend have not answered yet.", "backend")
	idle := o.gauge("portico_l7_backend_idle_connections", "Connections to endpoints that wait for a request.", "backend")
	queued := o.gauge("portico_l7_backend_queued_requests", "Requests that wait for an endpoint that has room.", "backend")
	rejected := o.counter("portico_l7_backend_rejected_requests_total", "Requests for which no endpoint had room in time.", "backend")
	retries := o.counter("portico_l7_backend_retries_total", "Requests that went to another connection.", "backend")
	withheld := o.counter("portico_l7_backend_retries_withheld_total", "Retries that the budget did not allow.", "backend")
	breaker := o.gauge("portico_l7_backend_breaker_open", "Whether the circuit breaker keeps requests away, or tries a few.", "backend")
	tell := func(name string, l load) {
		endpoints.add(float64(l.ready), name, "ready")
		endpoints.add(float64(l.ejected), name, "ejected")
		endpoints.add(float64(l.leaving), name, "leaving")
		inFlight.add(float64(l.inFlight), name)
		idle.add(float64(l.idle), name)
		queued.add(float64(l.queued), name)
		rejected.add(float64(l.rejected), name)
		retries.add(float64(l.retries), name)
		withheld.add(float64(l.withheld), name)
		breaker.add(float64(l.open), name)
	}
	var rest load
	for i, s := range all {
		if i >= maxBackends {
			rest.add(s)
			continue
		}
		var l load
		l.add(s)
		tell(s.Backend.String(), l)
	}
	if len(all) > maxBackends {
		tell(otherBackends, rest)
	}
}
