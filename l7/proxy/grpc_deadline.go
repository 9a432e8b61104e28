package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// deadlineExceeded is the status of a call of gRPC that is over by the client's
// own deadline.
const deadlineExceeded = "4"

// earliness is by how much an endpoint may reset a call before its deadline:
// some count in milliseconds.
const earliness = time.Millisecond

// expired reports whether x is a call of gRPC whose deadline has passed. Its
// endpoint counts the same time from a later begin, and may reset the call
// (PROTOCOL-HTTP2.md): that is neither its failure nor a reason to ask another.
func (l *lane) expired(x *exchange) bool {
	if !l.grpc {
		return false
	}
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		if f.Kind == http1.Other && http1.Fold(f.Name.Of(x.head), "grpc-timeout") {
			timeout, ok := grpcTimeout(string(f.Value.Of(x.head)))
			return ok && l.p.clock.exact()-x.since >= timeout-earliness
		}
	}
	return false
}

// grpcTimeout parses the value of grpc-timeout: up to eight digits and a unit.
func grpcTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	unit := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	const most = time.Duration(1<<63 - 1)
	if err != nil || unit == 0 {
		return 0, false
	}
	if time.Duration(n) > most/unit {
		return most, true
	}
	return time.Duration(n) * unit, true
}

// overdue is what a client is told whose deadline has passed.
func overdue() *middleware.Answer {
	return &middleware.Answer{
		Status: http.StatusGatewayTimeout,
		Reason: "the deadline of the call has passed",
		Header: middleware.Header{{Name: "Grpc-Status", Value: deadlineExceeded}},
	}
}

// breakOff ends a response that its endpoint has broken off, so that the client
// does not take it for a whole one.
func (l *lane) breakOff(x *exchange) {
	x.torn = true
	if l.expired(x) {
		trailers := []field{{Name: []byte("grpc-status"), Value: []byte(deadlineExceeded)}}
		if l.front.finish(nil, trailers) == nil {
			x.seesTrailers(trailers)
			return
		}
	}
	l.front.abort()
}
