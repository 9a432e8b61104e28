package proxy

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/http2"
)

// A front is the client's side of one request on the general lane, whatever
// version of HTTP it speaks. One goroutine may read while another one writes;
// stopReading and abort, which do not block, may be called at any time.
type front interface {
	// protocol is the version that the client speaks, "HTTP/2.0".
	protocol() string
	// notify has l killed when the client has given the request up or is away.
	// Behind notify(nil) that is not begun any more.
	notify(l *leash)
	// head appends the request to dst as the head of an HTTP/1.1 request: see
	// intake.
	head(dst []byte) ([]byte, error)
	// read reads the data of the request's body, and returns io.EOF behind its
	// end.
	read(p []byte) (int, error)
	// trailers are those of the request, once read has returned io.EOF.
	trailers() []field
	// stopReading ends a read that waits, and lets none wait any more until
	// resumeReading.
	stopReading()
	resumeReading()

	// interim sends a 1xx response.
	interim(status int, fields []field) error
	// respond begins the final response. end is whether it has no body, whole
	// whether the request's body has been read to its end. It may be kept back
	// until write, finish or flush.
	respond(status int, fields []field, end, whole bool) error
	write(p []byte) error
	// finish sends the last of the body, which may be nothing.
	finish(p []byte, trailers []field) error
	flush() error
	// abort ends a response in such a way that the client does not take it for
	// a whole one, and breaks off a write that waits.
	abort()
}

// A field is a header or trailer field, its name in any case.
type field = http2.Field

// An intake writes a request that came as fields as the head of an HTTP/1.1
// request, so that every request passes the same parser. What would move the
// borders of a line is refused here; the parser sees the rest.
type intake struct {
	out       []byte
	authority []byte
	length    bool // a Content-Length field came
	err       error
}

// line begins the head. The authority may be empty where a Host field comes.
func (in *intake) line(method, path, authority []byte) {
	// An absolute target would stand above the authority, and nobody sends one
	// in these versions (RFC 9113, section 8.3.1).
	if len(path) == 0 || path[0] != '/' && string(path) != "*" || !fits(method) || !fits(path) {
		in.err = http1.ErrTarget
	}
	in.out = append(append(append(append(in.out, method...), ' '), path...), " HTTP/1.1\r\n"...)
	if len(authority) > 0 {
		in.append([]byte("Host"), authority)
		in.authority = authority
	}
}

// field adds a field.
func (in *intake) field(name, value []byte) {
	switch {
	case len(name) == 4 && http1.Fold(name, "host") && in.authority != nil:
		// RFC 9113, section 8.3.1: they must not differ.
		if !bytes.EqualFold(value, in.authority) {
			in.err = http1.ErrHost
		}
		return
	case len(name) == 14 && http1.Fold(name, "content-length"):
		in.length = true
	case concernsConnection(name):
		// RFC 9113, section 8.2.2: such a message is malformed.
		in.err = http1.ErrOptions
	}
	in.append(name, value)
}

// concernsConnection tells the fields that only HTTP/1.1 has.
func concernsConnection(name []byte) bool {
	switch len(name) {
	case 7:
		return http1.Fold(name, "upgrade")
	case 10:
		return http1.Fold(name, "connection") || http1.Fold(name, "keep-alive")
	case 16:
		return http1.Fold(name, "proxy-connection")
	case 17:
		return http1.Fold(name, "transfer-encoding")
	}
	return false
}

func (in *intake) append(name, value []byte) {
	if !fits(value) || !fits(name) || bytes.IndexByte(name, ':') >= 0 {
		in.err = http1.ErrFieldValue
	}
	in.out = appendLine(in.out, name, value)
}

// upgrade asks for a websocket as HTTP/1.1 does it, on behalf of a client that
// has done so in the way of RFC 8441. The key proves that a server means it;
// those who are asked in that way need not.
func (in *intake) upgrade() {
	var key [16]byte
	rand.Read(key[:])
	in.append([]byte("Connection"), []byte("Upgrade"))
	in.append([]byte("Upgrade"), []byte("websocket"))
	in.append([]byte("Sec-WebSocket-Key"), base64.StdEncoding.AppendEncode(nil, key[:]))
}

// end completes the head and returns it. body is whether a body comes.
func (in *intake) end(body bool) ([]byte, error) {
	if body && !in.length {
		in.append([]byte("Transfer-Encoding"), []byte("chunked"))
	}
	return append(in.out, '\r', '\n'), in.err
}

// fits reports whether b can stand in a line.
func fits(b []byte) bool { return bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 }

func appendLine(dst, name, value []byte) []byte {
	dst = append(append(append(dst, name...), ": "...), value...)
	return append(dst, '\r', '\n')
}
