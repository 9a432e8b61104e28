// Package accesslog writes a line for each request that has ended, under the
// names that Traefik 1.7 gave the fields, to a file that it rotates itself.
//
// The engine in l7/proxy fills a Record and hands it to an Observer; a Log makes
// a line of it. It never makes a request wait: what the disk does not take in
// time is counted as lost.
package accesslog

import (
	"net/netip"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// An Observer is told of requests, by many goroutines at once. Without one the
// engine keeps no records.
type Observer struct {
	// Begin makes the trace of a request from the value of its traceparent
	// field, nil where there is none or more than one; trusted says that a
	// trusted proxy sent it. The endpoint gets the trace's own traceparent
	// instead, and no tracestate unless the trace is Continued. Where Begin is
	// nil both fields pass as they came.
	Begin func(traceparent []byte, trusted bool) Trace
	// Ended gets the record of a request, once, however it ended. It and all
	// that it points to are the engine's again when Ended returns. Ended does
	// not block.
	Ended func(*Record)
	// Fields asks for the header fields of requests in the records,
	// ResponseFields for those of responses.
	Fields, ResponseFields bool
}

// A Record is one request and what became of it. Bytes are those of the
// engine's buffers; what was not reached is zero.
type Record struct {
	// Start is when the request's head had been read, Duration the time from
	// there to the end of the response, or of the tunnel.
	Start    time.Time
	Duration time.Duration
	// Origin is the time from the first attempt at an endpoint to the end of
	// its response, OriginHead that to the response's head; both are 0 where
	// no endpoint was asked.
	Origin, OriginHead time.Duration

	// Entrypoint is the listener's name.
	Entrypoint string
	// Peer is who connected, Client who asks as the proxies tell that the
	// entrypoint trusts: an address alone, as Peer's where nobody tells.
	Peer   netip.AddrPort
	Client netip.Addr
	// User is who asks, once an authentication has found out.
	User string
	// TLSVersion and TLSCipher are those of crypto/tls, 0 without TLS. Scheme
	// is "http" or "https", as a trusted proxy says where one does.
	TLSVersion, TLSCipher uint16
	Scheme                string

	// Protocol is "HTTP/1.0", "HTTP/1.1", "HTTP/2.0" or "HTTP/3.0". Where even
	// the request line could not be understood, Method is empty.
	Protocol string
	// Method, Path and Query are as the client sent them, Query with its "?";
	// Host is the authority as sent, with its port.
	Method, Path, Query, Host []byte
	// Request holds the fields that the client sent, Origin's those of the
	// endpoint and Downstream those of the response that the client got. They
	// are empty unless the Observer asks for them.
	Request, OriginFields, Downstream []Field
	// RequestSize is what of the request's body was read, in bytes without
	// the coding of its transfer.
	RequestSize int64

	// Route is what the request was found by, nil without one. Backend is
	// where it went, which may be one of the route's Choices: the zero Backend
	// where it went nowhere.
	Route   *route.Spec
	Backend route.Backend
	// Endpoint is the address that gave the response, or was asked last; 0 is
	// none. OriginProtocol is how it was spoken to.
	Endpoint       netip.AddrPort
	OriginProtocol route.Protocol
	// Retries is how many connections more than one were tried.
	Retries int
	// OriginStatus and OriginSize are of the endpoint's response: 0 where it
	// gave none. Sizes are those of bodies, without codings of the transfer.
	OriginStatus int
	OriginSize   int64

	// Status and Size are of the response that the client got; Status is 0
	// where it got none.
	Status int
	Size   int64
	// Reason says in words why the response is ours; it is empty where an
	// endpoint made it.
	Reason string
	// Broken says that the response, or the wait for it, ended before its
	// time: the client left, the endpoint died, or a bound was reached.
	Broken bool
	// Tunnel says that the connection became a tunnel; sizes are what
	// it has passed on then, from the client and to it.
	Tunnel bool
	// GRPCStatus is the endpoint's or our grpc-status, nil without one.
	GRPCStatus []byte

	// Trace is what Begin returned.
	Trace Trace
}

// A Field is one header field; its name is in any case.
type Field struct{ Name, Value []byte }

// Reset makes r empty for another request and keeps what it has allocated.
func (r *Record) Reset() {
	clear(r.Request)
	clear(r.OriginFields)
	clear(r.Downstream)
	*r = Record{Request: r.Request[:0], OriginFields: r.OriginFields[:0], Downstream: r.Downstream[:0]}
}
