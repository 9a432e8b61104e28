// Package backend keeps the endpoints of a route's backend and the connections
// to them. A Pool is asked for a connection that a request can use, and is
// told what became of it; which endpoint that is, whether a connection is
// reused, and who is passed over for a while is decided here.
//
// Pools live on when endpoints or policies change: what stays keeps its state.
package backend

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/route"
)

// Options are what a Pool needs.
type Options struct {
	Log *slog.Logger
	// Now reads a clock in nanoseconds that only moves forward. It may be
	// coarse: it is read by every request.
	Now func() int64
	// Policy is how the endpoints are used.
	Policy Policy
}

// A Pool holds the endpoints of one backend.
type Pool struct {
	backend   route.Backend
	log       *slog.Logger
	now       func() int64
	policy    atomic.Pointer[Policy]
	endpoints atomic.Pointer[[]*Endpoint]
	cursor    atomic.Uint32 // counts what was picked
	retries   atomic.Uint64

	mu       sync.Mutex
	budget   budget
	withheld uint64 // retries that the budget did not allow
}

// New returns a Pool without endpoints.
func New(b route.Backend, o Options) *Pool {
	p := &Pool{backend: b, log: o.Log, now: o.Now, budget: newBudget(o.Now())}
	p.policy.Store(&o.Policy)
	p.endpoints.Store(&[]*Endpoint{})
	return p
}

// Policy returns the policy of requests that begin now. The caller leaves it
// as it is.
func (p *Pool) Policy() *Policy { return p.policy.Load() }

// Empty reports whether there is no endpoint.
func (p *Pool) Empty() bool { return len(*p.endpoints.Load()) == 0 }

// Set replaces the endpoints; those that stay are kept as they are. One that
// leaves gets no new request from now on, its idle connections are closed, and
// what it has in flight finishes. Calls must not overlap.
func (p *Pool) Set(eps []route.Endpoint) {
	have := *p.endpoints.Load()
	want := make([]*Endpoint, 0, len(eps))
	for _, e := range eps {
		at := func(ep *Endpoint) bool { return ep.addr == e.Addr }
		switch i := slices.IndexFunc(have, at); {
		case slices.ContainsFunc(want, at):
		case i >= 0:
			want = append(want, have[i])
		default:
			want = append(want, &Endpoint{pool: p, addr: e.Addr})
		}
	}
	p.endpoints.Store(&want)
	for _, ep := range have {
		if !slices.Contains(want, ep) {
			ep.remove()
		}
	}
}

// pick returns the endpoint whose turn it is, passing over those that were
// tried and, while there are others, those that are ailing; nil when all were
// tried.
func (p *Pool) pick(tried []*Endpoint, now int64) *Endpoint {
	eps := *p.endpoints.Load()
	if len(eps) == 0 {
		return nil
	}
	var last *Endpoint
	turn := int(p.cursor.Add(1) % uint32(len(eps)))
	for i := range eps {
		ep := eps[(turn+i)%len(eps)]
		switch {
		case slices.Contains(tried, ep):
		case ep.ailing.Load() <= now:
			return ep
		case last == nil:
			last = ep
		}
	}
	return last
}

// Reap closes pooled connections that nobody has used for long.
func (p *Pool) Reap() {
	before := p.now() - int64(p.Policy().Timeouts.Idle)
	for _, ep := range *p.endpoints.Load() {
		ep.reap(before)
	}
}

// CloseIdle closes all pooled connections.
func (p *Pool) CloseIdle() {
	for _, ep := range *p.endpoints.Load() {
		ep.reap(1<<63 - 1)
	}
}
