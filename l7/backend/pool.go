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
	// Policy is how the endpoints are used. Nobody changes it.
	Policy *Policy
	// Reaper reaps what the pool keeps, or nobody does.
	Reaper *Reaper
	// Endpoints are the first ones. Nobody changes them.
	Endpoints []route.Endpoint
}

// A Pool holds the endpoints of one backend.
type Pool struct {
	backend route.Backend
	log     *slog.Logger
	now     func() int64
	random  []byte // a secret of its own, once it is needed
	plan    atomic.Pointer[plan]
	cursor  atomic.Uint32 // counts requests, and each attempt again
	retries atomic.Uint64
	queued  atomic.Int32            // len(waiting)
	copying atomic.Pointer[copying] // nil before the first copy
	reaper  *Reaper
	keeps   atomic.Bool // reaper knows that there may be something to reap

	mu       sync.Mutex
	waiting  []*waiter // who came first first
	rejected uint64    // for whom there was no room in time
	breaker  *breaker  // nil before there is one
	budget   budget
	withheld uint64 // retries that the budget did not allow
}

// New returns a Pool.
func New(b route.Backend, o Options) *Pool {
	p := &Pool{backend: b, log: o.Log, now: o.Now, reaper: o.Reaper, budget: newBudget(o.Now())}
	p.plan.Store(p.follow(&plan{policy: o.Policy}, o.Endpoints, o.Policy))
	return p
}

// Backend returns whose endpoints they are.
func (p *Pool) Backend() route.Backend { return p.backend }

// Policy returns the policy of requests that begin now. The caller leaves it
// as it is.
func (p *Pool) Policy() *Policy { return p.plan.Load().policy }

// Empty reports whether there is no endpoint.
func (p *Pool) Empty() bool { return len(p.plan.Load().endpoints) == 0 }

// Set replaces the endpoints; those that stay are kept as they are. One that
// leaves gets no new request from now on, its idle connections are closed, and
// what it has in flight finishes. Nobody changes eps afterwards. Calls of Set and
// SetPolicy must not overlap.
func (p *Pool) Set(eps []route.Endpoint) {
	if now := p.plan.Load(); !slices.Equal(eps, now.specs) {
		p.apply(eps, now.policy)
	}
}

// Retire ends the pool's use: no connection is kept any more. Requests that
// found it before still get one.
func (p *Pool) Retire() {
	for _, e := range p.plan.Load().endpoints {
		e.remove()
	}
}

// SetPolicy makes policy that of the requests that begin from now on. What is
// known of the endpoints stays, unless they are to be spoken to in another way.
// Nobody changes policy afterwards.
func (p *Pool) SetPolicy(policy *Policy) {
	if now := p.plan.Load(); *policy != *now.policy {
		p.apply(now.specs, policy)
	}
}

// reap closes pooled connections that are not to be used again, and reports
// whether there are others.
func (p *Pool) reap() (more bool) {
	pl, now := p.plan.Load(), p.now()
	for _, e := range pl.all() {
		more = e.reap(pl.policy.Timeouts.Idle, now) || more
	}
	return more
}

// CloseIdle closes all pooled connections.
func (p *Pool) CloseIdle() {
	for _, e := range p.plan.Load().all() {
		e.closeIdle()
	}
}
