package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// maxIdle bounds the pooled connections to one endpoint.
const maxIdle = 512

// ailing is how long an endpoint that could not be reached is asked last. It
// keeps a dead node from costing every other request a dial timeout.
const ailing = 2 * time.Second

// A pool holds the endpoints of one backend.
type pool struct {
	backend   route.Backend
	endpoints atomic.Pointer[[]*endpoint]
	cursor    atomic.Uint32
	retries   atomic.Uint64
}

func newPool(b route.Backend) *pool {
	p := &pool{backend: b}
	p.endpoints.Store(&[]*endpoint{})
	return p
}

// set replaces the endpoints; those that stay are kept as they are. Calls must
// not overlap.
func (p *pool) set(eps []route.Endpoint) {
	have := *p.endpoints.Load()
	want := make([]*endpoint, 0, len(eps))
	for _, e := range eps {
		at := func(ep *endpoint) bool { return ep.addr == e.Addr }
		switch i := slices.IndexFunc(have, at); {
		case slices.ContainsFunc(want, at):
		case i >= 0:
			want = append(want, have[i])
		default:
			want = append(want, &endpoint{addr: e.Addr})
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
func (p *pool) pick(tried []*endpoint, now int64) *endpoint {
	eps := *p.endpoints.Load()
	if len(eps) == 0 {
		return nil
	}
	var last *endpoint
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

// An endpoint is one address with the connections to it.
type endpoint struct {
	addr   netip.AddrPort
	ailing atomic.Int64 // clock time until which it is asked last

	mu       sync.Mutex
	idle     []*backend // the most recently used last
	removed  bool
	inFlight int
	requests uint64
	failures uint64 // dials that failed
}

// take hands out the pooled connection that was used last, so that the others
// may grow old, if that was not before a time, and counts a request in flight;
// nil means: dial.
func (e *endpoint) take(since int64) *backend {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inFlight++
	e.requests++
	n := len(e.idle)
	if n == 0 || e.idle[n-1].since < since {
		return nil
	}
	b := e.idle[n-1]
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return b
}

// undo takes back what take counted.
func (e *endpoint) undo() {
	e.mu.Lock()
	e.inFlight--
	e.requests--
	e.mu.Unlock()
}

// put takes a connection back that is fit for another request.
func (e *endpoint) put(b *backend, now int64) {
	b.since = now
	e.mu.Lock()
	e.inFlight--
	keep := !e.removed && len(e.idle) < maxIdle
	if keep {
		e.idle = append(e.idle, b)
	}
	e.mu.Unlock()
	if !keep {
		b.tcp.Close()
	}
}

// done ends a request whose connection is not kept.
func (e *endpoint) done() {
	e.mu.Lock()
	e.inFlight--
	e.mu.Unlock()
}

// failed counts a dial that failed.
func (e *endpoint) failed(now int64) {
	e.ailing.Store(now + int64(ailing))
	e.mu.Lock()
	e.inFlight--
	e.failures++
	e.mu.Unlock()
}

// remove closes what is idle and lets nothing become idle any more.
func (e *endpoint) remove() {
	e.mu.Lock()
	e.removed = true
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	for _, b := range idle {
		b.tcp.Close()
	}
}

// reap closes the connections that were put back before a time.
func (e *endpoint) reap(before int64) {
	e.mu.Lock()
	n := 0
	for n < len(e.idle) && e.idle[n].since < before {
		n++
	}
	old := slices.Clone(e.idle[:n])
	e.idle = slices.Delete(e.idle, 0, n)
	e.mu.Unlock()
	for _, b := range old {
		b.tcp.Close()
	}
}
