package backend

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// maxIdle bounds the pooled connections to one endpoint.
const maxIdle = 512

// ailingTime is how long an endpoint that could not be reached is asked last. It
// keeps a dead node from costing every other request a dial timeout.
const ailingTime = 2 * time.Second

// An Endpoint is one address with the connections to it.
type Endpoint struct {
	pool     *Pool
	spec     route.Endpoint // without its weight
	protocol route.Protocol
	tls      *tls.Config  // nil in clear
	seed     uint64       // for Hash
	ailing   atomic.Int64 // clock time until which it is asked last
	inFlight atomic.Int64
	affinity atomic.Pointer[affinity] // nil where the policy is not sticky

	mu       sync.Mutex
	idle     []*Conn // the most recently used last
	h2       []*h2conn
	dialing  *dialing
	removed  bool
	requests uint64
	failures uint64 // dials that failed
}

// Addr is where the endpoint listens.
func (e *Endpoint) Addr() netip.AddrPort { return e.spec.Addr }

// take hands out the pooled connection that was used last, so that the others
// may grow old, if that was not before a time, and counts a request in flight;
// nil means: dial.
func (e *Endpoint) take(since int64) *Conn {
	e.inFlight.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
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
func (e *Endpoint) undo() {
	e.inFlight.Add(-1)
	e.mu.Lock()
	e.requests--
	e.mu.Unlock()
}

// put takes a connection back that is fit for another request.
func (e *Endpoint) put(b *Conn, now int64) {
	b.since = now
	e.inFlight.Add(-1)
	e.mu.Lock()
	keep := !e.removed && len(e.idle) < maxIdle
	if keep {
		e.idle = append(e.idle, b)
	}
	e.mu.Unlock()
	if !keep {
		b.Close()
	}
}

// done ends a request whose connection is not kept.
func (e *Endpoint) done() { e.inFlight.Add(-1) }

// failed counts a dial that failed.
func (e *Endpoint) failed(now int64) {
	e.ailing.Store(now + int64(ailingTime))
	e.inFlight.Add(-1)
	e.mu.Lock()
	e.failures++
	e.mu.Unlock()
}

// remove closes what is idle and lets nothing become idle any more.
func (e *Endpoint) remove() {
	e.mu.Lock()
	e.removed = true
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	for _, b := range idle {
		b.Close()
	}
	e.closeIdleH2()
}

// reap closes the connections that were put back before a time.
func (e *Endpoint) reap(before int64) {
	e.mu.Lock()
	n := 0
	for n < len(e.idle) && e.idle[n].since < before {
		n++
	}
	old := slices.Clone(e.idle[:n])
	e.idle = slices.Delete(e.idle, 0, n)
	e.mu.Unlock()
	for _, b := range old {
		b.Close()
	}
}
