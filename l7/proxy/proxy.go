// Package proxy carries HTTP requests from clients to endpoints.
//
// On the fast lane, where both speak HTTP/1.1, one goroutine serves a client
// connection and carries request and response inline, over the wire engine of
// l7/http1: it reads a head, makes host and path canonical once, finds the
// route, takes a pooled connection to an endpoint, and relays. A second
// goroutine runs only while a request body is still coming when the response
// may begin, and for the way back of a tunnel.
//
// All other requests take the general lane, a goroutine each: those of clients
// that speak HTTP/2 or HTTP/3, and those to endpoints that speak HTTP/2. They
// are written as HTTP/1.1 heads and decided upon by the same code; what differs
// are fronts, the clients' sides, and sources, where a response comes from.
//
// Routes and endpoints are replaced while requests run: what is in flight
// keeps what it has, everything that stays keeps its state.
package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/route"
)

// Options are what a Proxy needs. Zero durations and limits mean the default.
type Options struct {
	Log *slog.Logger
	// Drain is how long requests and tunnels may go on once Serve's context
	// has ended. 0 cuts them at once.
	Drain time.Duration
	// Timeouts, Limits and Caps are the first Bounds. Limits are those of
	// endpoints' heads, too, and the shortest of Timeouts says how closely all
	// that come later are kept.
	Timeouts Timeouts
	Limits   http1.Limits
	Caps     Caps
	// Policy is that of backends without one of their own; the zero Policy
	// means backend.Default.
	Policy backend.Policy
	// Challenge returns what a certificate authority is told that asks whether
	// host is ours (RFC 8555, section 8.3: a key authorization); ok is whether
	// the token is known. It may be nil, and must not block for long.
	Challenge func(host, token string) (proof string, ok bool)
}

// Timeouts bound every wait. They are kept with a grain of an eighth of the
// shortest of them, a quarter of a second at most.
type Timeouts struct {
	Head  time.Duration // a request head, from its first byte; a TLS handshake (10s)
	Idle  time.Duration // a client connection between requests (75s)
	Stall time.Duration // a client that neither sends nor takes any byte of a body (60s)
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{
		{&t.Head, 10 * time.Second},
		{&t.Idle, 75 * time.Second},
		{&t.Stall, time.Minute},
	} {
		if *d.to == 0 {
			*d.to = d.value
		}
	}
	return t
}

// grain is how often deadlines are looked at.
func (t Timeouts) grain(b backend.Timeouts) time.Duration {
	shortest := min(t.Head, t.Idle, t.Stall, b.Response, b.Idle)
	return min(max(shortest/8, time.Millisecond), time.Second/4)
}

// An Entrypoint says how the connections of one listener are treated.
type Entrypoint struct {
	Name string
	// TLS makes the listener speak TLS. Where NextProtos offers h2, HTTP/2 is
	// spoken with clients that choose it.
	TLS *tls.Config
	// H2C lets clients speak HTTP/2 without TLS, from the first byte on.
	H2C bool
	// HTTP3 tells clients that ServeHTTP3 serves at the same port of UDP.
	HTTP3 bool
	// ResetKey is what ServeHTTP3 proves by that a connection is no more of
	// which packets come (RFC 9000, section 10.3): the same for all who serve
	// at an address of this node, one after the other, and for no other node.
	// With nil, clients wait until they find out.
	ResetKey *[32]byte
	// TrustedProxies are the peers whose X-Forwarded-* and Forwarded fields
	// are believed.
	TrustedProxies []netip.Prefix
	// ProxyProtocol has the connections of TrustedProxies begin with a header
	// of the PROXY protocol, which names the client; without one they are
	// closed.
	ProxyProtocol bool
	// Redirect has clients go to another entrypoint, whatever they ask for but
	// for the files by which a certificate authority sees whose a host is.
	Redirect Redirect
}

// A Proxy is the engine. New starts nothing; each Serve blocks.
type Proxy struct {
	log    *slog.Logger
	drain  time.Duration
	grain  time.Duration
	limits http1.Limits // of endpoints' heads
	// challenge may be nil.
	challenge func(host, token string) (proof string, ok bool)
	bounds    atomic.Pointer[Bounds]
	gate      *gate
	life      context.Context // until Stop
	stop      func()

	clock    clock
	now      func() int64 // clock's, for pools
	date     date
	counters counters
	copied   shard // of copies for mirrors
	refused  refused
	// routing is nil until routes were set once.
	routing atomic.Pointer[routing]
	// observer is told of requests; nil is nobody.
	observer atomic.Pointer[accesslog.Observer]

	mu    sync.Mutex
	pools map[route.Backend]*backend.Pool
	policies
	reaper  backend.Reaper // of pools
	serving int            // calls of Serve
}

// New returns a Proxy that answers 503 until SetRoutes was called.
func New(o Options) *Proxy {
	p := &Proxy{
		log:   o.Log,
		drain: o.Drain,
		gate:  newGate(),

		challenge: o.Challenge,
		limits:    cmp.Or(o.Limits, http1.DefaultLimits),
		pools:     make(map[route.Backend]*backend.Pool),
	}
	p.now = p.clock.now
	p.life, p.stop = context.WithCancel(context.Background())
	if o.Policy == (backend.Policy{}) {
		o.Policy = backend.Default()
	}
	p.policies = policies{common: new(o.Policy)}
	p.SetBounds(Bounds{o.Timeouts, o.Limits, o.Caps})
	p.grain = p.bounds.Load().Timeouts.grain(o.Policy.Timeouts)
	p.clock.start = time.Now()
	return p
}

// SetEndpoints makes the endpoints of each backend those of m. A backend that m
// does not name has none, or is forgotten where no route leads to it. An
// endpoint that stays keeps its connections; one that leaves gets no new request
// from now on, its idle connections are closed, and what it has in flight
// finishes. Nobody changes the endpoints afterwards.
func (p *Proxy) SetEndpoints(m map[route.Backend][]route.Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for b, eps := range m {
		p.update(b, eps)
	}
	for b := range p.pools {
		if _, named := m[b]; !named {
			p.drop(b)
		}
	}
}

// update sets the endpoints of b. The caller holds mu.
func (p *Proxy) update(b route.Backend, eps []route.Endpoint) {
	if pl := p.pools[b]; pl != nil {
		pl.Set(eps)
	} else {
		p.open(b, eps)
	}
}

// SetPolicies makes the policy of each backend that own names that, and common
// the one of all others. What is known of their endpoints stays.
func (p *Proxy) SetPolicies(common backend.Policy, own map[route.Backend]backend.Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policies = policies{&common, own}
	for b, pl := range p.pools {
		pl.SetPolicy(p.policies.of(b))
	}
}

// policies are those of all backends.
type policies struct {
	common *backend.Policy
	own    map[route.Backend]backend.Policy
}

func (p policies) of(b route.Backend) *backend.Policy {
	if policy, ok := p.own[b]; ok {
		return new(policy)
	}
	return p.common
}

// pool returns b's pool and makes it where it is missing. The caller holds mu.
func (p *Proxy) pool(b route.Backend) *backend.Pool {
	pl := p.pools[b]
	if pl == nil {
		pl = p.open(b, nil)
	}
	return pl
}

// open makes b's pool. The caller holds mu.
func (p *Proxy) open(b route.Backend, eps []route.Endpoint) *backend.Pool {
	pl := backend.New(b, backend.Options{
		Log: p.log, Now: p.now, Policy: p.policies.of(b), Reaper: &p.reaper, Endpoints: eps,
	})
	p.pools[b] = pl
	return pl
}

// drop empties b's pool, or forgets it where no route leads there. The caller
// holds mu.
func (p *Proxy) drop(b route.Backend) {
	switch pl := p.pools[b]; {
	case pl == nil:
	case p.leadsTo(pl):
		pl.Set(nil)
	default:
		pl.Retire() // not emptied: a request may have just found the way here
		delete(p.pools, b)
	}
}

// forget drops those pools of backends that have no endpoint and no route. The
// caller holds mu.
func (p *Proxy) forget(backends []route.Backend) {
	for _, b := range backends {
		if pl := p.pools[b]; pl != nil && !p.leadsTo(pl) && pl.Empty() {
			delete(p.pools, b)
		}
	}
}

// eachPool calls do for every pool.
func (p *Proxy) eachPool(do func(*backend.Pool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pl := range p.pools {
		do(pl)
	}
}
