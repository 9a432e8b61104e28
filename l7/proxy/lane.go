package proxy

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// A lane carries one request between a client and an endpoint of which at
// least one does not speak HTTP/1.1: the general way, beside the fast one that
// conn is. Both decide by the same code; a lane sees bodies as data without
// coding and heads as fields.
type lane struct {
	leash
	front front
	// begun is whether the client has got anything of the final response.
	begun atomic.Bool
	// hinting is how many interim ones are on their way.
	hinting atomic.Int32
	// grpc is whether it is a call of gRPC.
	grpc  bool
	plain plainSource // what relay uses
}

// carry carries the request of f, a front of client c.
func (s *server) carry(c *client, f front) {
	l := &lane{front: f}
	l.leash.client, l.side = c, l
	s.watch(&l.leash)
	defer s.unwatch(&l.leash)
	l.run((*lane).handle)
}

// run has do carry the request.
func (l *lane) run(do func(*lane, *exchange)) {
	defer l.part()
	l.front.notify(&l.leash)
	defer l.front.notify(nil)
	x := getExchange()
	defer func() {
		if v := recover(); v != nil {
			x.settle()
			l.p.log.Error("request ended by a fault of the engine", "entrypoint", l.s.entry.Name,
				"fault", v, "stack", string(debug.Stack()))
			l.front.abort()
		}
	}()
	do(l, x)
	putExchange(x) // not behind a fault: something may still use it
}

// handle reads the request's head and answers it.
func (l *lane) handle(x *exchange) {
	l.stats.requests.Add(1)
	l.observe(x, nil)
	l.arm(l.bounds.Timeouts.Head) // a front may look for the begin of a body
	var err error
	if x.head, err = l.front.head(x.head[:0]); err == nil {
		err = x.req.Parse(x.head, l.bounds.Head)
	}
	if err != nil {
		x.req.Method = http1.OtherMethod
		status, reason := refusal(err)
		l.reject(x, &middleware.Answer{Status: status, Reason: reason})
		return
	}
	l.enter(x, x.head, l.front.protocol())
	l.grpc = isGRPC(&x.req, x.head)
	status, reason := l.understand(x, x.head)
	if status != 0 {
		l.reject(x, &middleware.Answer{Status: status, Reason: reason})
		return
	}
	if a := l.resolve(x, x.head); a != nil {
		l.reject(x, a)
		return
	}
	x.upgrade, x.first = upgrades(&x.req, x.head), nil
	l.compose(x, x.head)
	if x.way.chain != nil {
		if a := l.pass(x, x.head); a != nil {
			l.reject(x, a)
			return
		}
	}
	if v := l.collect(x); v != served {
		l.apologise(l, x, v)
		return
	}
	if x.pass.chain != nil {
		if a := x.recompose(); a != nil {
			l.reject(x, a)
			return
		}
	}
	pl := x.way.choose(x, x.head)
	l.aim(x, pl, x.head)
	l.forward(l, x, pl)
}

// collect reads x's body where it is to be whole before it is sent.
func (l *lane) collect(x *exchange) verdict {
	switch {
	case x.gathers():
		if !l.gather(x) {
			return slow
		}
	case x.holds():
		return l.hold(x, l.front)
	}
	return served
}

// gather reads the whole of x's small body.
func (l *lane) gather(x *exchange) bool {
	x.makeWhole()
	for have := 0; have < len(x.whole); {
		if !l.await(x, false) {
			return false
		}
		n, err := l.front.read(x.whole[have:])
		x.pace.end(l.p.clock.now(), n)
		if have += n; n == 0 && err != nil {
			return false
		}
		x.up.advance(int64(n))
	}
	x.first = x.whole
	return true
}

// wait is arm for the next part of a body. Those of gRPC may pause for any
// time: it is the liveness of the connections that counts there, and the
// deadline that the client gave the endpoint.
func (l *lane) wait(d time.Duration) bool {
	if l.grpc {
		return l.deadline.move(l.limit, busy)
	}
	return l.arm(d)
}

// await is that of leash, with the freedom of gRPC.
func (l *lane) await(x *exchange, answered bool) bool {
	if l.grpc {
		return l.wait(0)
	}
	return l.leash.await(x, answered)
}

// interrupt ends the waits for the client. A response that has not begun can
// still say why.
func (l *lane) interrupt() {
	l.front.stopReading()
	if l.begun.Load() || l.hinting.Load() > 0 {
		l.front.abort()
	}
}

func (l *lane) resume() {}

// part lets go of the front: a cut that comes later finds nothing to
// interrupt.
func (l *lane) part() {
	l.mu.Lock()
	l.side = parted{}
	l.mu.Unlock()
}

// parted is the side of a lane that has ended.
type parted struct{}

func (parted) interrupt() {}
func (parted) resume()    {}

// attempt carries the request over b.
func (l *lane) attempt(x *exchange, pl *backend.Pool, b *backend.Conn) verdict {
	if b.HTTP2() {
		return l.roundTrip(x, pl, b)
	}
	return l.converse(l, x, pl, b)
}

// relayInterim passes a 1xx response on.
func (l *lane) relayInterim(x *exchange) error {
	head := x.in.bytes()[:x.resp.Size]
	x.in.r += x.resp.Size
	x.takeFields(head)
	return l.interim(x, x.resp.Status, x.fields)
}

// interim sends a 1xx response, for which a client that reads nothing has the
// time of any other part of a response.
func (l *lane) interim(x *exchange, status int, fields []field) error {
	l.hinting.Add(1)
	defer l.hinting.Add(-1)
	if !l.arm(l.bounds.Timeouts.Stall) {
		return errUnheard
	}
	if l.front.interim(status, fields) != nil || !l.wait(x.policy.Timeouts.Response) {
		return errUnheard
	}
	return nil
}

// listFields adds those of h to the fields of the response.
func (x *exchange) listFields(h middleware.Header) {
	for _, f := range h {
		from := len(x.text)
		x.text = append(append(x.text, f.Name...), f.Value...)
		behind := from + len(f.Name)
		x.fields = append(x.fields, field{Name: x.text[from:behind:behind], Value: x.text[behind:len(x.text):len(x.text)]})
	}
}

// takeFields lists the fields of x.resp, whose head is given, that are passed
// on. The transfer coding ends here.
func (x *exchange) takeFields(head []byte) {
	x.fields = x.fields[:0]
	for i := range x.resp.Fields {
		if f := &x.resp.Fields[i]; !f.Drop && f.Kind != http1.TransferEncoding {
			x.fields = append(x.fields, field{Name: f.Name.Of(head), Value: f.Value.Of(head)})
		}
	}
}
