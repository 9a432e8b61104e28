package backend

import (
	"context"
	"errors"
	"math"
	"net"
	"time"
)

// A Call is one request's way through a Pool: what it is like, and what it has
// tried so far. It is reused after Reset.
type Call struct {
	// Idempotent says that the request may be executed twice (RFC 9110,
	// section 9.2.2).
	Idempotent bool
	// Key is the KeyHash of what decides under the strategy Hash.
	Key uint64
	// Token is the value of the sticky cookie that came with the request. It
	// may lie in a buffer that stays as it is until the call is over.
	Token []byte

	tried    []*Endpoint
	fresh    bool // pooled connections are not to be trusted any more
	attempts int  // that came to nothing, but for dials refused at once
}

// Reset makes c that of a new request.
func (c *Call) Reset() {
	clear(c.tried)
	*c = Call{tried: c.tried[:0]}
}

// A Refusal is why a Pool has no connection for a request.
type Refusal uint8

// The refusals; the zero Refusal is none.
const (
	NoEndpoint  Refusal = iota + 1 // there is none
	Unreachable                    // none takes connections
	Late                           // none takes connections in time
	Exhausted                      // each has been tried
)

// Status is the status that tells a client of r.
func (r Refusal) Status() int {
	switch r {
	case NoEndpoint:
		return 503
	case Late:
		return 504
	}
	return 502
}

// String says r in words that a client may read.
func (r Refusal) String() string {
	switch r {
	case NoEndpoint:
		return "no endpoint"
	case Unreachable:
		return "no endpoint takes connections"
	case Late:
		return "no endpoint takes connections in time"
	}
	return "no endpoint answered"
}

// Connect returns a connection to the endpoint whose turn it is, which the
// caller gives back by Release, or why none can be had.
func (p *Pool) Connect(ctx context.Context, c *Call) (*Conn, Refusal) {
	var refusal Refusal
	for {
		ep := p.pick(p.plan.Load(), c, p.now())
		switch {
		case ep != nil:
		case refusal != 0:
			return nil, refusal
		case len(c.tried) > 0:
			return nil, Exhausted
		default:
			return nil, NoEndpoint
		}
		b, err := p.open(ctx, c, ep)
		if err == nil {
			return b, 0
		}
		ep.failed(p.now())
		c.tried = append(c.tried, ep)
		p.retries.Add(1)
		p.log.Debug("endpoint does not take connections", "backend", p.backend, "endpoint", ep.spec.Addr, "err", err)
		refusal = Unreachable
		if isTimeout(err) {
			refusal = Late
			if c.attempts++; c.attempts >= p.Policy().Retries.Attempts {
				return nil, refusal
			}
		}
	}
}

// open returns a connection to ep that is fit for c. Where it returns none, a
// request in flight is counted nevertheless.
func (p *Pool) open(ctx context.Context, c *Call, ep *Endpoint) (*Conn, error) {
	if b := p.pooled(c, ep); b != nil {
		return b, nil
	}
	t := p.Policy().Timeouts
	if ep.protocol.HTTP2() {
		return ep.stream(ctx, t)
	}
	return ep.dial(ctx, t)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// youth is how long ago a connection may have been used that carries what must
// not be sent twice. Servers close connections that have been idle for seconds;
// when the request meets that, nobody can say whether it was executed.
const youth = time.Second / 2

// pooled returns a connection from ep's pool that is fit for c, or nil; a
// request in flight is counted in both cases.
func (p *Pool) pooled(c *Call, ep *Endpoint) *Conn {
	since := int64(0)
	switch {
	case c.fresh:
		since = math.MaxInt64
	case !c.Idempotent:
		since = p.now() - int64(youth)
	}
	for {
		b := ep.take(since)
		if b == nil || b.fit() {
			return b
		}
		b.Close()
		ep.undo()
	}
}

// Retry reports whether a request whose connection b died before the first
// byte of a response, and was released, may be sent again; delivered says that
// the endpoint may have got something of it. What was delivered goes again
// only when it may be executed twice, and while the budget lasts.
func (p *Pool) Retry(c *Call, b *Conn, delivered bool) bool {
	r := p.Policy().Retries
	c.attempts++
	if c.attempts >= r.Attempts || delivered && !(c.Idempotent && p.draw(r)) {
		return false
	}
	p.retries.Add(1)
	c.fresh = true
	if !b.reused {
		c.tried = append(c.tried, b.ep)
	}
	return true
}

// draw takes a retry from the budget.
func (p *Pool) draw(r Retries) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.budget.draw(r, p.now(), p.cursor.Load()) {
		return true
	}
	p.withheld++
	return false
}
