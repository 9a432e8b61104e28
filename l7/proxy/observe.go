package proxy

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// Observe has o told of the requests that begin from now on; nil is nobody, and
// costs nothing.
func (p *Proxy) Observe(o *accesslog.Observer) { p.observer.Store(o) }

// An account is what is kept of a request for those who are told of its end.
// Nothing is kept where nobody is, but for the status and whether it failed.
type account struct {
	told   *accesslog.Observer // nil where there is none
	record *accesslog.Record

	begun     time.Time     // zero where nobody wants to know
	asked     time.Duration // until the first endpoint was asked
	headAfter time.Duration // until the endpoint's head
	endAfter  time.Duration // until the end of its response
	status    int           // of the response that the client got
	sent      int64         // data of a body that is not the endpoint's
	ours      bool          // the response is
	reason    string        // why
	attempts  int           // connections that were tried
	failed    bool          // no endpoint answered
	forwarded bool          // an endpoint was to answer
	torn      bool          // the response broke off
	tunnel    bool          // it became one
	carried   carried       // by it
	respHead  []byte        // the endpoint's, while it is changed
}

// clear makes a that of another request.
func (a *account) clear() { *a = account{record: a.record, respHead: a.respHead[:0]} }

// observe begins the account of x's request, where somebody is told, and
// returns the head, which must stay until the end then.
func (c *client) observe(x *exchange, head []byte) []byte {
	c.meter(x)
	o := c.p.observer.Load()
	if o == nil {
		return head
	}
	if x.record == nil {
		x.record = new(accesslog.Record)
	}
	r := x.record
	r.Reset()
	x.told, x.begun = o, x.began()
	x.up, x.down = body{}, body{}
	r.Start, r.Entrypoint, r.Peer, r.Client = x.begun, c.s.entry.Name, c.from, c.peer
	r.TLSVersion, r.TLSCipher = c.tlsVersion()
	r.Scheme = c.scheme()
	if head != nil {
		x.head = append(x.head[:0], head...)
	}
	return x.head
}

// tlsVersion returns version and cipher suite, 0 without TLS.
func (c *client) tlsVersion() (version, cipher uint16) {
	if c.tlsState == nil {
		return 0, 0
	}
	if c.version == 0 {
		s := c.tlsState()
		return s.Version, s.CipherSuite
	}
	return c.version, c.cipher
}

// secured takes note of what a handshake has found out.
func (c *client) secured(state func() tls.ConnectionState) {
	s := state()
	c.tlsState, c.version, c.cipher = state, s.Version, s.CipherSuite
}

// enter takes what the account needs of a request that was understood, and
// begins its trace. The head is the one that observe has returned.
func (c *client) enter(x *exchange, head []byte, protocol string) {
	if x.told == nil {
		return
	}
	r, q := x.record, &x.req
	r.Protocol, r.Host = protocol, q.Host.Of(head)
	if c.trusted {
		r.Client, r.Scheme = c.source(q, head), c.schemeOf(q, head)
	}
	if x.told.Begin == nil {
		return
	}
	var parent []byte
	for i := range q.Fields {
		if f := &q.Fields[i]; f.Kind == http1.Other && http1.Fold(f.Name.Of(head), "traceparent") {
			if parent != nil {
				parent = nil
				break
			}
			parent = f.Value.Of(head)
		}
	}
	r.Trace = x.told.Begin(parent, c.trusted)
}

// retrace takes the client's fields about a trace out that the endpoint is not
// to get.
func (x *exchange) retrace(head []byte) {
	if !x.traced() {
		return
	}
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		if name := f.Name.Of(head); f.Kind == http1.Other &&
			(http1.Fold(name, "traceparent") || http1.Fold(name, "tracestate") && !x.record.Trace.Continued) {
			x.req.Discard(f)
		}
	}
}

func (x *exchange) traced() bool { return x.told != nil && x.record.Trace.Valid() }

// appendTrace appends the line that tells the endpoint of the trace.
func (x *exchange) appendTrace(out []byte) []byte {
	if !x.traced() {
		return out
	}
	out = append(out, "Traceparent: "...)
	return append(x.record.Trace.AppendParent(out), '\r', '\n')
}

// asks takes note that x's request is to go to pl.
func (x *exchange) asks(pl *backend.Pool) {
	if x.told != nil {
		x.record.Backend = pl.Backend()
		x.asked = time.Since(x.begun)
	}
}

// tries takes note that it goes over b.
func (x *exchange) tries(b *backend.Conn) {
	x.attempts++
	if x.told != nil {
		x.record.Endpoint, x.record.OriginProtocol = b.Endpoint().Addr(), b.Endpoint().Protocol()
	}
}

// untries takes that back where nothing went over it. No other has carried anything of
// x then: behind an attempt that failed all connections are new.
func (x *exchange) untries() {
	x.attempts--
	if x.told != nil {
		x.record.Endpoint, x.record.OriginProtocol = netip.AddrPort{}, 0
	}
}

// mark takes note of the endpoint's response, whose head lies in x.in.
func (x *exchange) mark() {
	x.heard, x.down = true, body{}
	if x.begun.IsZero() {
		return
	}
	x.headAfter = time.Since(x.begun)
	if x.told == nil {
		return
	}
	x.record.OriginStatus = x.resp.Status
	x.respHead = append(x.respHead[:0], x.in.bytes()[:x.resp.Size]...)
	for i := range x.resp.Fields {
		f := &x.resp.Fields[i]
		name, value := f.Name.Of(x.respHead), f.Value.Of(x.respHead)
		if f.Kind == http1.Other && http1.Fold(name, "grpc-status") {
			x.record.GRPCStatus = value
		}
		if x.told.ResponseFields {
			x.record.OriginFields = append(x.record.OriginFields, accesslog.Field{Name: name, Value: value})
		}
	}
}

// isOurs takes note that the client gets a.
func (x *exchange) isOurs(a *middleware.Answer) {
	x.ours, x.reason = true, cmp.Or(a.Reason, "answered by a middleware")
}

// markEnd takes note that the endpoint has said all.
func (x *exchange) markEnd() {
	if x.told != nil {
		x.endAfter = time.Since(x.begun)
	}
}

// sees takes note of the fields that the client gets.
func (x *exchange) sees(fields []field) {
	if x.told == nil || !x.told.ResponseFields {
		return
	}
	for _, f := range fields {
		x.record.Downstream = append(x.record.Downstream, accesslog.Field{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value)})
	}
}

// seesLines is sees for a head that was written.
func (x *exchange) seesLines(head []byte) {
	if x.told == nil || !x.told.ResponseFields {
		return
	}
	_, lines, _ := bytes.Cut(head, []byte("\r\n"))
	x.sees(parseTrailers(lines))
}

// seesTrailers takes note of what is behind the body.
func (x *exchange) seesTrailers(trailers []field) {
	if x.told == nil {
		return
	}
	for _, f := range trailers {
		if http1.Fold(f.Name, "grpc-status") {
			x.record.GRPCStatus = bytes.Clone(f.Value)
		}
	}
}

// settle counts x's request, and tells all who want to know how it has ended.
func (x *exchange) settle() {
	defer x.account.clear()
	if x.meters == nil {
		return // it is no request of a client
	}
	duration := x.clock.exact() - x.since
	x.count(duration)
	if x.begun.IsZero() {
		return
	}
	user := ""
	if x.pass.chain != nil {
		x.pass.chain, user = nil, x.pass.req.User
		x.pass.req.Done(middleware.Outcome{
			Status:    x.status,
			Failed:    x.failed,
			Forwarded: x.forwarded,
			Duration:  duration,
			Endpoint:  x.headAfter,
		})
	}
	if x.told != nil {
		x.report(duration, user)
	}
}

// report hands the record over.
func (x *exchange) report(duration time.Duration, user string) {
	r := x.record
	r.Duration, r.User = duration, user
	r.Method, r.Path, r.Query = x.req.MethodName.Of(x.head), x.req.Path.Of(x.head), x.req.Query.Of(x.head)
	if x.told.Fields {
		for i := range x.req.Fields {
			f := &x.req.Fields[i]
			r.Request = append(r.Request, accesslog.Field{Name: f.Name.Of(x.head), Value: f.Value.Of(x.head)})
		}
	}
	r.RequestSize = x.up.size(x.req.Length)
	if x.way.route != nil {
		r.Route = x.way.route.Spec
	}
	r.Retries = max(0, x.attempts+x.call.Failed-1)
	if x.attempts+x.call.Failed > 0 {
		r.OriginHead = max(0, x.headAfter-x.asked)
		r.Origin = cmp.Or(x.endAfter, duration) - x.asked
	}
	if r.OriginStatus != 0 && !x.tunnel {
		r.OriginSize = x.down.size(x.resp.Length)
	}
	if r.Status, r.Size = x.status, r.OriginSize; x.ours || x.sent > 0 {
		r.Size, r.Reason = x.sent, x.reason
	}
	if x.tunnel {
		r.RequestSize, r.OriginSize, r.Size = x.carried.up, x.carried.down, x.carried.down
	}
	r.Broken = x.torn || x.status == 0
	r.Tunnel = x.tunnel
	x.told.Ended(r)
}

// size is how much data has come of a body whose length was announced, if that
// is how it ends.
func (d *body) size(length int64) int64 {
	switch d.framing {
	case http1.Length:
		if d.done {
			return length
		}
		return length - d.left
	case http1.Chunked:
		return max(d.chunks.Data(), d.data)
	}
	return d.data
}
