package proxy

import (
	"errors"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// A verdict says what became of an attempt to carry a request.
type verdict uint8

const (
	served   verdict = iota // answered; the connection goes on
	closes                  // answered, or beyond an answer; the connection ends
	again                   // nothing has happened; another connection may do better
	broken                  // the endpoint answered nothing of use
	mute                    // it ended the connection without a word
	late                    // the endpoint took too long
	garbled                 // the request's body is malformed
	slow                    // the request's body did not come
	oversize                // there is more of it than may be
	unheld                  // there is no room to hold it
	expired                 // the client's own deadline has passed
)

// A carrier is how a request comes from a client and a response goes back.
type carrier interface {
	// attempt carries x over b, and gives b up or back.
	attempt(x *exchange, pl *backend.Pool, b *backend.Conn) verdict
	// startUpload begins to carry what of x's body is not here yet.
	startUpload(x *exchange, b *backend.Conn) *upload
	// relayInterim passes on the 1xx response at the start of x.in and steps
	// over it.
	relayInterim(x *exchange) error
	// relay passes on the final one, and gives b up or back.
	relay(x *exchange, b *backend.Conn, up *upload) verdict
	// reject answers a request that is not forwarded, and reports whether the
	// connection may go on.
	reject(x *exchange, a *middleware.Answer) bool
}

// forward carries a request to an endpoint of pl and its response back, and
// reports whether the client's connection may go on.
func (l *leash) forward(c carrier, x *exchange, pl *backend.Pool) bool {
	x.asks(pl)
	l.mirror(x)
	x.pack()
	goesOn := l.attempts(c, x, pl)
	if x.replica != nil {
		l.mirrored(x)
	}
	return goesOn
}

// attempts tries one connection after the other until the request is answered.
func (l *leash) attempts(c carrier, x *exchange, pl *backend.Pool) bool {
	for {
		b, refusal := l.connect(x, pl)
		if refusal != 0 {
			l.limit = 0
			x.failed = refusal.Failed()
			return l.revive(l.bounds.Timeouts.Stall) && c.reject(x, &middleware.Answer{Status: refusal.Status(), Reason: refusal.String()})
		}
		x.tries(b)
		v := c.attempt(x, pl, b)
		switch v {
		case served, closes:
			return v == served
		case again:
			continue
		}
		return l.apologise(c, x, v)
	}
}

// apologise answers for an endpoint that did not. What is left of the body is
// not waited for.
func (l *leash) apologise(c carrier, x *exchange, v verdict) bool {
	l.limit = 0
	if !l.revive(l.bounds.Timeouts.Stall) {
		return false
	}
	if v == garbled || v == oversize {
		x.up.done = false
	}
	x.failed = v == late || v == broken || v == mute
	return c.reject(x, apology(v))
}

// apology is what a client is told of a verdict.
func apology(v verdict) *middleware.Answer {
	switch v {
	case late:
		return &middleware.Answer{Status: 504, Reason: "the endpoint did not answer in time"}
	case garbled:
		return &middleware.Answer{Status: 400, Reason: "malformed chunk"}
	case oversize:
		status, reason := refusal(http1.ErrBodyLarge)
		return &middleware.Answer{Status: status, Reason: reason}
	case slow:
		// To a client that went away this says nothing.
		return &middleware.Answer{Status: 408, Reason: "request body took too long"}
	case mute:
		return &middleware.Answer{Status: 502, Reason: "the endpoint ended the connection without an answer"}
	case expired:
		return overdue()
	case unheld:
		return &middleware.Answer{Status: 503, Reason: "there is no room for the request's body"}
	}
	return &middleware.Answer{Status: 502, Reason: "the endpoint's answer could not be used"}
}

// copyMost is up to where copying a body behind its head is cheaper than a
// second element in a write.
const copyMost = 2 << 10

// pack puts what is to be written first into as few pieces as pays.
func (x *exchange) pack() {
	if len(x.first) <= copyMost {
		x.out = append(x.out, x.first...)
		x.first = nil
	}
}

// send writes the head and what of the body is here, in one system call. Where b was
// not fit for it, nothing was written.
func (x *exchange) send(b *backend.Conn) (n int64, fit bool, err error) {
	if b.Unseen() {
		n, fit, err := b.TCP.Ask(x.out, x.first)
		return int64(n), fit, err
	}
	n, err = x.write(b)
	return n, true, err
}

func (x *exchange) write(b *backend.Conn) (int64, error) {
	if x.first != nil && b.TCP != nil {
		n, err := b.TCP.WriteBoth(x.out, x.first)
		return int64(n), err
	}
	n, err := b.Write(x.out)
	if x.first != nil && err == nil {
		var more int
		more, err = b.Write(x.first)
		n += more
	}
	return int64(n), err
}

// converse carries the request over b, which speaks HTTP/1.1, and gives b up
// or back.
func (l *leash) converse(c carrier, x *exchange, pl *backend.Pool, b *backend.Conn) verdict {
	l.endpoint.Store(b)
	if !l.arm(x.policy.Timeouts.Response) {
		return l.missed(b)
	}
	x.in.clear()
	n, fit, err := x.send(b)
	if !fit {
		x.untries()
		l.endpoint.Store(nil)
		b.Unused(&x.call)
		return again
	}
	b.Sent(n)
	var up *upload
	switch {
	case err != nil:
	case x.spool != nil:
		up = x.spool.upload(l, x, b)
	case !x.up.done:
		up = c.startUpload(x, b)
	}
	// Even when not all could be written there may be an answer: a server that
	// does not want the rest says so and closes.
	got, rerr := l.readResponse(c, x, b)
	if rerr == nil && !up.isTorn() {
		b.Report(backend.OutcomeOf(x.resp.Status))
		x.mark()
		return c.relay(x, b, up)
	}
	up.stop()
	died := !got && l.deadline.cut() == 0
	delivered := b.Delivered(rerr)
	l.release(b, false)
	if errors.Is(rerr, errUnheard) {
		return closes // which is not the endpoint's fault
	}
	return l.judge(x, pl, b, up, died, delivered)
}

// judge says what an attempt over b means that got no response. died is whether
// nothing at all came before the connection broke, delivered whether the
// endpoint may have got something.
func (l *leash) judge(x *exchange, pl *backend.Pool, b *backend.Conn, up *upload, died, delivered bool) verdict {
	switch {
	case up != nil && up.failed == failedChunk:
		return garbled
	case up != nil && up.failed == failedLarge:
		return oversize
	case up != nil && up.failed == failedClient && l.deadline.cut() == 0:
		return closes
	case l.deadline.cut() == cutTimeout && up != nil && !up.complete && !up.held:
		return slow
	case l.deadline.cut() == cutTimeout:
		b.Report(backend.TimedOut)
		return late
	case l.deadline.cut() != 0:
		return closes
	}
	if !died {
		b.Report(backend.Malformed)
		return broken
	}
	b.Report(backend.Died)
	if !up.consumedAny() && pl.Retry(&x.call, b, delivered) {
		return again
	}
	return mute
}

// errUnheard says that a client did not take an interim response: it is gone, or
// reads nothing.
var errUnheard = errors.New("client does not listen")

// errInterim says that a switch of protocols came unasked.
var errInterim = errors.New("endpoint switched protocols unasked")

// readResponse reads up to the final response's head, which it leaves at the
// start of x.in, and passes on the interim ones before it. got is whether
// anything was read at all.
func (l *leash) readResponse(c carrier, x *exchange, b *backend.Conn) (got bool, err error) {
	searched := 0
	for {
		end := http1.HeadEnd(x.in.bytes(), searched)
		if end == 0 {
			if err := http1.Partial(x.in.bytes(), searched, l.p.limits); err != nil {
				return true, err
			}
			searched = x.in.len()
			if err := x.in.fill(b.Conn, headroom+l.p.limits.Head); err != nil {
				return got || searched > 0, err
			}
			continue
		}
		got, searched = true, 0
		if err := x.resp.Parse(x.in.bytes()[:end], x.req.Method, l.p.limits); err != nil {
			return true, err
		}
		switch {
		case x.resp.Status == 101 && !x.upgrade:
			return true, errInterim
		case x.resp.Status >= 200 || x.resp.Status == 101:
			return true, nil
		}
		if err := c.relayInterim(x); err != nil {
			return true, err
		}
	}
}

// relayInterim passes a 1xx response on. HTTP/1.0 does not know them (RFC 9110,
// section 15.2).
func (c *conn) relayInterim(x *exchange) error {
	head := x.in.r
	x.in.r += x.resp.Size
	if x.req.Minor == 0 {
		return nil
	}
	start := x.editHead(head, "")
	if !c.arm(c.bounds.Timeouts.Stall) {
		return errUnheard
	}
	if _, err := c.rw.Write(x.in.b[start:x.in.r]); err != nil || !c.arm(x.policy.Timeouts.Response) {
		return errUnheard
	}
	return nil
}

// editHead prepares a response head in place: the fields of the endpoint's
// connection leave, line comes in. What stays moves up against the body, so
// that both go out in one piece. It returns where the head starts now.
func (x *exchange) editHead(head int, line string) int {
	r := &x.resp
	b := x.in.b[head : head+r.Size]
	b[7] = '1' // a proxy speaks its own version
	if r.Dropped == 0 && line == "" {
		return head
	}
	to, end := r.Size, r.Size // kept bytes move from before end to before to
	for i := len(r.Fields) - 1; i >= 0 && r.Dropped > 0; i-- {
		f := &r.Fields[i]
		if !f.Drop {
			continue
		}
		r.Dropped--
		to -= copy(b[to-(end-int(f.End)):to], b[f.End:end])
		end = int(f.Name.Start)
	}
	to -= copy(b[to-(end-r.FieldsStart):to], b[r.FieldsStart:end])
	// The status line goes before what was put in, down into the headroom.
	start := head + to - len(line) - r.FieldsStart
	copy(x.in.b[start:], b[:r.FieldsStart])
	copy(x.in.b[start+r.FieldsStart:], line)
	return start
}
