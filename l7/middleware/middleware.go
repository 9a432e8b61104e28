// Package middleware is what happens to a request beside its being forwarded:
// who may ask, how often, what the endpoint is told and what the client gets.
//
// A Step is configuration, a value that TOML, an annotation and a test write
// alike. New makes it a Middleware, which may hold state; many requests use it
// at once. A Chain runs them in order before the request is forwarded, and what
// they have asked for in reverse order when a response comes.
//
// The engine in l7/proxy runs chains; nothing here knows connections. Host and
// path are the canonical ones that the route was found by, and the only ones
// there are: what is matched, allowed, rewritten and forwarded is the same.
package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// A Step is the configuration of one middleware: a value that is not changed
// once a route has it. Two that reflect.DeepEqual finds equal are the same, so
// that the state of one stays over a change elsewhere.
type Step interface {
	route.Step
	// New returns the middleware. A Step that was made by Parse, or by code
	// that kept to the documented ranges, has one.
	New(Env) Middleware
}

// An Env is what a middleware may use of the world.
type Env struct {
	// Log says whose middleware it is.
	Log *slog.Logger
	// Transport has an endpoint of a backend answer a request that is ours: a
	// page for an error, a question about who is asking. The request's URL names
	// the path alone. It is nil where there is no engine.
	Transport func(route.Backend) http.RoundTripper
}

// A Middleware does one thing to requests. Handle may be called by many
// goroutines at once, and is called before the body is read. It may change r,
// and register what it wants to know later; an Answer ends the way to the
// endpoint and goes back instead, through what those before have registered.
type Middleware interface {
	Handle(ctx context.Context, r *Request) *Answer
}

// A Request is what a Middleware sees of a request.
type Request struct {
	// Method stays as it is: a changed one is not looked at.
	Method string
	// Host is canonical and without a port; Path is canonical, in its escaped
	// form, and begins with a slash, but for the "*" of OPTIONS. Query begins
	// with "?" or is empty.
	//
	// A changed Path is made canonical again before it is forwarded; one with
	// dot segments, which lead elsewhere, is answered 400.
	Host, Path, Query string
	// Authority is the Host field that the endpoint gets.
	Authority string
	// Header holds the fields that the endpoint gets, X-Forwarded-* among
	// them. Those of the connection and of the body's framing are the
	// engine's: they do not stand here, and none of those names can be set.
	Header Header
	// Client is who asks, as the proxies tell that the entrypoint trusts; Peer
	// is who connected.
	Client, Peer netip.Addr
	// Hops are the addresses that the request came by, from the one that
	// connected to the one that nobody vouches for: Peer, and X-Forwarded-For
	// from its right end. Without a trusted peer it is Peer alone.
	Hops []netip.Addr
	// Scheme is "http" or "https", of the entrypoint, or as a trusted proxy
	// says.
	Scheme string
	// Entrypoint is the name of the listener, and Port its TCP port.
	Entrypoint string
	Port       uint16
	// Certificates are the client's, leaf first, as DER; verified where the
	// entrypoint asks for that.
	Certificates [][]byte
	// Length is the body's in bytes; -1 is a length that its end will tell.
	Length int64
	// Upgrade is whether the client asks for another protocol, GRPC whether it
	// is a call of gRPC.
	Upgrade, GRPC bool
	// Begun is when the request's head was read.
	Begun time.Time
	// User is who asks, once an authentication has found out: for the access
	// log.
	User string
	// Body is how the request's body is taken.
	Body Body
	// Copies are to be made of the request.
	Copies []Copy

	// askedPath and askedQuery are what they were before the first Rewrite; no
	// path where there was none.
	askedPath, askedQuery string

	onResponse []func(*Response)
	onDone     []func(Outcome)
}

// A Body says how the body of a request is taken. Zero is the engine's way: as
// it comes, within the client's bounds.
type Body struct {
	// Most is the longest that is taken, in bytes; beyond it the answer is 413.
	// 0 is no bound of the route's.
	Most int64
	// Whole has it read to its end before an endpoint gets anything of it.
	Whole bool
}

// Asked returns path and query of the URL that the client knows, whatever
// middlewares have made of them since.
func (r *Request) Asked() (path, query string) {
	if r.askedPath == "" {
		return r.Path, r.Query
	}
	return r.askedPath, r.askedQuery
}

// Rewrite has the endpoint be asked for another path and query.
func (r *Request) Rewrite(path, query string) {
	r.askedPath, r.askedQuery = r.Asked()
	r.Path, r.Query = path, query
}

// OnResponse has f see the head of the response, an endpoint's or ours, before
// the client does. Those that were registered last come first. An interim
// response is not shown, nor is the switch to another protocol.
func (r *Request) OnResponse(f func(*Response)) { r.onResponse = append(r.onResponse, f) }

// OnDone has f told once how the request ended. It is called however that was.
func (r *Request) OnDone(f func(Outcome)) { r.onDone = append(r.onDone, f) }

// Reset makes r empty for another request and keeps what it has allocated.
func (r *Request) Reset() {
	clear(r.onResponse)
	clear(r.onDone)
	*r = Request{Header: r.Header[:0], Hops: r.Hops[:0], Copies: r.Copies[:0], onResponse: r.onResponse[:0], onDone: r.onDone[:0]}
}

// An Outcome is how a request ended.
type Outcome struct {
	// Status is of the response that the client got; 0 where it got none.
	Status int
	// Failed says that no endpoint gave a usable response: one could not be
	// reached, died or took too long.
	Failed bool
	// Forwarded says that the request was meant for an endpoint: no middleware
	// answered it.
	Forwarded bool
	// Duration is from Begun to the end; Endpoint to the response's head.
	Duration, Endpoint time.Duration
}

// A Response is the head of a response.
type Response struct {
	Status int
	// Header holds its fields but for those of the connection and the framing.
	Header Header
	// Length is the body's in bytes; -1 is a length that its end will tell.
	Length int64
	// Ours says that no endpoint made it.
	Ours bool

	transform []Transform
	replaced  *Answer
}

// A Transform makes another body of a response's: it returns where to write the
// one that comes. Flush of it is called where the endpoint paused, Close behind
// its end; what it writes to w is what the client gets.
type Transform func(w Writer) Writer

// A Writer takes a body.
type Writer interface {
	Write(p []byte) (int, error)
	Flush() error
	Close() error
}

// Transform has the response's body pass t. The response then has no length.
// Only a Middleware that is a Bodily may call it, and not for a Request with
// Upgrade.
func (w *Response) Transform(t Transform) {
	w.transform = append(w.transform, t)
	w.Length = -1
}

// Transforms are those that were asked for, in this order.
func (w *Response) Transforms() []Transform { return w.transform }

// Replace has the client get a instead; what comes of the endpoint's body is
// thrown away.
func (w *Response) Replace(a *Answer) {
	w.replaced, w.transform = a, nil
	w.Status, w.Header, w.Length, w.Ours = a.Status, slices.Clone(a.Header), int64(len(a.Body)), true
}

// Replaced returns what Replace was given last, nil without.
func (w *Response) Replaced() *Answer { return w.replaced }

// A Bodily is a Middleware that may call Transform: its routes take the
// engine's general lane.
type Bodily interface {
	Middleware
	Bodily()
}

// An Answer is a response that a middleware makes. A nil Body of one with a
// status that has a body is the reason in words, as the engine writes it.
type Answer struct {
	Status int
	Header Header
	Body   []byte
	// Reason is for the engine's own words, without the status.
	Reason string
	// Close has the connection end behind it.
	Close bool
}
