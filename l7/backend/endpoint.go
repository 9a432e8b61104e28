package backend

import (
	"cmp"
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

// An Endpoint is one address with the connections to it.
type Endpoint struct {
	pool     *Pool
	spec     route.Endpoint // without its weight
	protocol route.Protocol
	tls      *tls.Config  // nil in clear
	seed     uint64       // for Hash
	out      atomic.Int64 // see outWord
	troubled atomic.Bool  // the judge has something against it
	rising   atomic.Int64 // since when it is, 0 for not
	inFlight atomic.Int64
	affinity atomic.Pointer[affinity] // nil where the policy is not sticky

	mu       sync.Mutex
	idle     []*Conn // the most recently used last
	h2       []*h2conn
	dialing  *dialing
	judge    judge
	lifetime lifetime
	looked   int64 // when the oldest idle connection was looked at
	removed  bool
	requests uint64
	unmade   uint64 // dials that failed
}

// Addr is where the endpoint listens.
func (e *Endpoint) Addr() netip.AddrPort { return e.spec.Addr }

// Protocol is how it is spoken to.
func (e *Endpoint) Protocol() route.Protocol { return cmp.Or(e.protocol, route.HTTP) }

// take hands out the pooled connection that was used last, so that the others
// may grow old, if it is no older than most, and counts a request; nil means:
// dial.
func (e *Endpoint) take(most time.Duration, now int64) *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests++
	n := len(e.idle)
	if n == 0 || e.idle[n-1].since < e.usable(most, now) {
		return nil
	}
	b := e.idle[n-1]
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return b
}

// undo takes back what take counted.
func (e *Endpoint) undo() {
	e.mu.Lock()
	e.requests--
	e.mu.Unlock()
}

// put takes a connection back that is fit for another request.
func (e *Endpoint) put(b *Conn, now int64) {
	b.since = now
	e.mu.Lock()
	keep := !e.removed && len(e.idle) < maxIdle
	if keep {
		e.idle = append(e.idle, b)
	}
	e.mu.Unlock()
	if keep {
		e.pool.kept()
	} else {
		b.Close()
	}
	e.leave()
}

// remove closes what is idle and lets nothing become idle any more.
func (e *Endpoint) remove() {
	e.mu.Lock()
	e.removed = true
	e.mu.Unlock()
	e.closeIdle()
}

// usable returns since when a connection must have been idle at most that is
// used again, under a policy that keeps them for most.
func (e *Endpoint) usable(most time.Duration, now int64) int64 {
	return now - e.lifetime.usable(int64(most), now)
}

// reap closes the connections that are too old to be used again, and those
// that the endpoint has closed, which tells how old that is. It reports whether
// any is left.
func (e *Endpoint) reap(most time.Duration, now int64) (more bool) {
	e.mu.Lock()
	n, before := 0, e.usable(most, now)
	for n < len(e.idle) && e.idle[n].since < before {
		n++
	}
	if n < len(e.idle) && now-max(e.idle[n].since, e.looked) >= lookEvery {
		e.looked = now
		if age := now - e.idle[n].since; !e.idle[n].fit() {
			e.lifetime.closed(age, now)
		}
		for n < len(e.idle) && !e.idle[n].fit() {
			n++
		}
	}
	old := slices.Clone(e.idle[:n])
	e.idle = slices.Delete(e.idle, 0, n)
	e.forgetH2()
	more = len(e.idle)+len(e.h2) > 0
	e.mu.Unlock()
	for _, b := range old {
		b.Close()
	}
	return more
}

// closeIdle closes every idle connection.
func (e *Endpoint) closeIdle() {
	e.mu.Lock()
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	for _, b := range idle {
		b.Close()
	}
	e.closeIdleH2()
}
