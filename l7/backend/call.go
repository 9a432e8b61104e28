package backend

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/portico-lb/portico/l7/proxyproto"
)

// A Call is one request's way through a Pool: what it is like, and what it has
// tried so far. It is reused after Reset.
type Call struct {
	// Idempotent says that the request may be executed twice (RFC 9110,
	// section 9.2.2).
	Idempotent bool
	// Streams says that the request's body goes out as it comes, so that what
	// was sent of it cannot be sent again, whatever the method.
	Streams bool
	// Once says that the request is not sent again, whatever happens.
	Once bool
	// Asks says that the request goes by Ask over a connection that is Unseen, and that
	// what this finds unfit is given up by Unused.
	Asks bool
	// Until is the clock time at which the request must be over, 0 for never.
	Until int64
	// Key is the KeyHash of what decides under the strategy Hash.
	Key uint64
	// Token is the value of the sticky cookie that came with the request.
	Token []byte
	// Failed counts the dials that came to nothing.
	Failed int
	// Between is what a PROXY header tells the endpoint.
	Between proxyproto.Header

	seat     *Endpoint // where the request has its place, but no connection
	tried    []*Endpoint
	fresh    bool // pooled connections are not to be trusted any more
	attempts int  // that came to nothing, but for dials refused at once
}

// Reset makes c that of a new request. A place that the old one still has, without a
// connection, is free then.
func (c *Call) Reset() {
	if c.seat != nil {
		c.seat.leave()
	}
	clear(c.tried)
	*c = Call{tried: c.tried[:0], Token: c.Token[:0]}
}

// A Refusal is why a Pool has no connection for a request.
type Refusal uint8

// The refusals; the zero Refusal is none.
const (
	NoEndpoint  Refusal = iota + 1 // there is none
	Unreachable                    // none takes connections
	Late                           // none takes connections in time
	Exhausted                      // each has been tried
	Busy                           // none has room
	Broken                         // the circuit breaker lets nobody through
)

// Status is the status that tells a client of r.
func (r Refusal) Status() int {
	switch r {
	case NoEndpoint, Busy, Broken:
		return 503
	case Late:
		return 504
	}
	return 502
}

// Failed reports whether endpoints were asked in vain, rather than not at all.
func (r Refusal) Failed() bool { return r == Unreachable || r == Late || r == Exhausted }

// String says r in words that a client may read.
func (r Refusal) String() string {
	switch r {
	case NoEndpoint:
		return "no endpoint"
	case Unreachable:
		return "no endpoint takes connections"
	case Late:
		return "no endpoint takes connections in time"
	case Busy:
		return "all endpoints have as much to do as they may"
	case Broken:
		return "too many requests failed"
	}
	return "no endpoint answered"
}

// Connect returns a connection to the endpoint whose turn it is, which the
// caller gives back by Release, or why none can be had. It may wait for an
// endpoint that has room, until ctx ends.
func (p *Pool) Connect(ctx context.Context, c *Call) (*Conn, Refusal) {
	e := c.seat
	c.seat = nil
	if e == nil && !p.admit(p.now()) {
		return nil, Broken
	}
	var failed Refusal
	for ; ; e = nil {
		var refusal Refusal
		if e == nil {
			e, refusal = p.reach(ctx, c)
		}
		switch {
		case refusal == 0:
		case failed != 0 && refusal != Busy:
			p.record(false, p.now())
			return nil, failed
		default:
			return nil, refusal
		}
		b, err := p.open(ctx, c, e)
		if err == nil {
			return b, 0
		}
		e.leave()
		if ctx.Err() != nil {
			return nil, Unreachable
		}
		if failed = p.unreachable(c, e, err); c.Once || c.attempts >= p.Policy().Retries.Attempts {
			p.record(false, p.now())
			return nil, failed
		}
	}
}

// reach returns an endpoint on which a request in flight is counted, or why
// there is none.
func (p *Pool) reach(ctx context.Context, c *Call) (*Endpoint, Refusal) {
	var e *Endpoint
	f, turn := full, uint64(p.cursor.Add(1))
	if p.queued.Load() == 0 { // nobody overtakes those that wait
		e, f = p.seat(c, turn)
	}
	if f == full {
		var refusal Refusal
		if e, refusal = p.wait(ctx, c, turn, p.Policy().Limit); refusal != 0 {
			return nil, refusal
		}
	}
	switch {
	case e != nil:
		return e, 0
	case len(c.tried) > 0:
		return nil, Exhausted
	}
	return nil, NoEndpoint
}

// unreachable takes note of a dial to e that failed, and says what to tell the
// client should it be the last.
func (p *Pool) unreachable(c *Call, e *Endpoint, err error) Refusal {
	if !c.Once {
		p.retries.Add(1)
	}
	c.tried = append(c.tried, e)
	c.Failed++
	e.report(NoConnection, err, p.now())
	e.mu.Lock()
	e.unmade++
	e.mu.Unlock()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.attempts++
		return Late
	}
	return Unreachable
}

// open returns a connection to ep that is fit for c.
func (p *Pool) open(ctx context.Context, c *Call, ep *Endpoint) (*Conn, error) {
	if b := p.pooled(c, ep); b != nil {
		return b, nil
	}
	policy := p.Policy()
	var b *Conn
	var err error
	switch {
	case policy.SendProxy != 0:
		b, err = ep.introduce(ctx, policy, c.Between)
	case ep.protocol.HTTP2():
		b, err = ep.stream(ctx, policy.Timeouts)
	default:
		b, err = ep.dial(ctx, policy.Timeouts, nil)
	}
	if err == nil {
		ep.connected(p.now())
	}
	return b, err
}

// youth is how long ago a connection may have been used that carries what must
// not be sent twice. Servers close connections that have been idle for seconds;
// when the request meets that, nobody can say whether it was executed.
const youth = time.Second / 2

// pooled returns a connection from ep's pool that is fit for c, or nil.
func (p *Pool) pooled(c *Call, ep *Endpoint) *Conn {
	policy := p.Policy()
	most := policy.Timeouts.Idle
	switch {
	case c.fresh, c.Streams, policy.SendProxy != 0:
		most = -1
	case !c.Idempotent:
		most = min(most, youth)
	}
	for {
		b := ep.take(most, p.now())
		if b == nil {
			return nil
		}
		if b.unseen = c.Asks && b.TCP != nil; b.unseen || b.fit() {
			return b
		}
		b.undo()
	}
}

// Retry reports whether a request whose connection b died before the first
// byte of a response, and was released, may be sent again; delivered says that
// the endpoint may have got something of it. What was delivered goes again
// only when it may be executed twice, and while the budget lasts.
func (p *Pool) Retry(c *Call, b *Conn, delivered bool) bool {
	r := p.Policy().Retries
	c.attempts++
	if c.Once || c.attempts >= r.Attempts || delivered && (!c.Idempotent || !p.draw(r)) {
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
