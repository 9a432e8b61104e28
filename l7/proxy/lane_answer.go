package proxy

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// reject answers a request that is not forwarded, and reports whether the
// connection may go on. Clients of gRPC read no status of HTTP but the fields
// that their own library would send.
func (l *lane) reject(x *exchange, a *middleware.Answer) bool {
	if a.Status == 0 {
		l.front.abort()
		return false
	}
	w, body := x.response(a)
	return l.say(x, w, body, a.Reason)
}

// say sends w, which is finished, and its body.
func (l *lane) say(x *exchange, w *middleware.Response, body []byte, reason string) bool {
	status := w.Status
	if l.grpc {
		status, body = http.StatusOK, nil
		w.Header.Set("Content-Type", "application/grpc")
		code := cmp.Or(w.Header.Get("Grpc-Status"), grpcCode(w.Status))
		x.seesTrailers([]field{{Name: []byte("grpc-status"), Value: []byte(code)}})
		w.Header.Set("Grpc-Status", code)
		w.Header.Set("Grpc-Message", strings.ReplaceAll(cmp.Or(reason, http.StatusText(w.Status)), "%", "%25"))
	}
	x.fields, x.text = x.fields[:0], x.text[:0]
	x.listFields(w.Header)
	if !l.grpc && hasBody(status) {
		x.fields = append(x.fields, field{Name: []byte("content-length"), Value: strconv.AppendInt(nil, int64(len(body)), 10)})
	}
	x.resp.Framing = http1.Length
	if x.req.Method == http1.HEAD || !hasBody(status) {
		body, x.resp.Framing = nil, http1.None
	}
	fields := x.fields
	l.responded(x, status)
	x.sent = int64(len(body))
	x.sees(fields)
	l.begun.Store(true)
	if !l.arm(l.bounds.Timeouts.Stall) {
		return false
	}
	err := l.front.respond(status, fields, len(body) == 0, x.up.done)
	if err == nil && len(body) > 0 {
		err = l.front.finish(body, nil)
	}
	if err != nil {
		x.torn = true
		l.front.abort()
	}
	return err == nil
}

// grpcCode is what a client of gRPC makes of a status of HTTP
// (gRPC, doc/http-grpc-status-mapping.md).
func grpcCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "13" // INTERNAL
	case http.StatusUnauthorized:
		return "16" // UNAUTHENTICATED
	case http.StatusForbidden:
		return "7" // PERMISSION_DENIED
	case http.StatusNotFound:
		return "12" // UNIMPLEMENTED
	case http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "14" // UNAVAILABLE: may be tried again
	}
	return "2" // UNKNOWN
}

// isGRPC reports whether a request is one of gRPC (PROTOCOL-HTTP2.md: a
// content type that starts with application/grpc). That of the browser,
// application/grpc-web, is common HTTP.
func isGRPC(r *http1.Request, head []byte) bool {
	const is = "application/grpc"
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind == http1.Other && f.Name.Len() == len("content-type") && http1.Fold(f.Name.Of(head), "content-type") {
			v := f.Value.Of(head)
			return bytes.HasPrefix(v, []byte(is)) && (len(v) == len(is) || v[len(is)] != '-')
		}
	}
	return false
}

// parseTrailers parses a trailer section that a ChunkReader has passed.
func parseTrailers(b []byte) []field {
	var out []field
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\r\n"))
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			out = append(out, field{Name: name, Value: bytes.Trim(value, " \t")})
		}
		b = rest
	}
	return out
}
