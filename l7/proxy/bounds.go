package proxy

import (
	"cmp"
	"time"

	"github.com/portico-lb/portico/l7/http1"
)

// Bounds are what clients may do and take. A connection has those that were
// valid when it began to wait for the request at hand; one of HTTP/2 or
// HTTP/3, those of its begin.
type Bounds struct {
	Timeouts Timeouts
	// Head bounds the heads of requests.
	Head http1.Limits
	Caps Caps
}

// Caps bound what clients may take in all. Zero ones are no bounds.
type Caps struct {
	// Body is how many bytes of data the body of a request may have.
	Body int64
	// Rate is how many bytes a second the body of a request must come with on
	// average, counted from its begin, once RateAfter has been waited for it.
	Rate      int64
	RateAfter time.Duration
	// Requests is how many a connection carries.
	Requests int
	// Connections is how many there may be. Further ones wait for being
	// accepted.
	Connections int
	// PerSource is how many one address may have, or one network of 64 bits of
	// IPv6. Further ones are closed. Trusted proxies are not counted.
	PerSource int
}

// SetBounds makes b what clients may do from now on. Connections above the
// bounds stay.
func (p *Proxy) SetBounds(b Bounds) {
	b.Timeouts = b.Timeouts.withDefaults()
	b.Head = cmp.Or(b.Head, http1.DefaultLimits)
	p.bounds.Store(&b)
	p.gate.set(b.Caps)
}
