package proxy

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
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
	defer func() {
		if v := recover(); v != nil {
			l.p.log.Error("request ended by a fault of the engine", "entrypoint", l.s.entry.Name,
				"fault", v, "stack", string(debug.Stack()))
			l.front.abort()
		}
	}()
	x := getExchange()
	do(l, x)
	putExchange(x) // not behind a fault: something may still use it
}

// handle reads the request's head and answers it.
func (l *lane) handle(x *exchange) {
	l.stats.requests.Add(1)
	l.arm(l.bounds.Timeouts.Head) // a front may look for the begin of a body
	var err error
	if x.head, err = l.front.head(x.head[:0]); err == nil {
		err = x.req.Parse(x.head, l.bounds.Head)
	}
	if err != nil {
		x.req.Method = http1.OtherMethod
		status, reason := refusal(err)
		l.reject(x, status, reason)
		return
	}
	l.grpc = isGRPC(&x.req, x.head)
	status, reason := l.understand(x, x.head)
	var pl *backend.Pool
	if status == 0 {
		pl, status, reason = l.p.find(x)
	}
	if pl == nil {
		l.reject(x, status, reason)
		return
	}
	x.upgrade, x.first = upgrades(&x.req, x.head), nil
	l.compose(x, x.head)
	if x.gathers() && !l.gather(x) {
		l.apologise(l, x, slow)
		return
	}
	l.aim(x, pl, x.head)
	l.forward(l, x, pl)
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
	if l.begun.Load() {
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
	return l.front.interim(x.resp.Status, x.fields)
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
