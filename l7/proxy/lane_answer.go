package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/http1"
)

// reject answers a request that is not forwarded, and reports whether the
// connection may go on. Clients of gRPC read no status of HTTP but the fields
// that their own library would send.
func (l *lane) reject(x *exchange, status int, reason string) bool {
	if status == 0 {
		l.front.abort()
		return false
	}
	var date [len(http.TimeFormat)]byte
	fields := append(x.fields[:0], field{Name: []byte("date"), Value: time.Now().UTC().AppendFormat(date[:0], http.TimeFormat)})
	var body []byte
	if l.grpc {
		fields = append(fields,
			field{Name: []byte("content-type"), Value: []byte("application/grpc")},
			field{Name: []byte("grpc-status"), Value: []byte(grpcCode(status))},
			field{Name: []byte("grpc-message"), Value: []byte(strings.ReplaceAll(reason, "%", "%25"))})
		status = http.StatusOK
	} else {
		body = fmt.Appendf(nil, "%d %s: %s\n", status, http.StatusText(status), reason)
		fields = append(fields,
			field{Name: []byte("content-type"), Value: []byte("text/plain; charset=utf-8")},
			field{Name: []byte("content-length"), Value: strconv.AppendInt(nil, int64(len(body)), 10)})
		if x.req.Method == http1.HEAD {
			body = nil
		}
	}
	if status == http.StatusServiceUnavailable {
		fields = append(fields, field{Name: []byte("retry-after"), Value: []byte(retryAfter)})
	}
	x.fields = fields
	l.stats.responded(status)
	l.begun.Store(true)
	if !l.arm(l.bounds.Timeouts.Stall) {
		return false
	}
	err := l.front.respond(status, fields, len(body) == 0, x.up.done)
	if err == nil && len(body) > 0 {
		err = l.front.finish(body, nil)
	}
	if err != nil {
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
