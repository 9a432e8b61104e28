// Package proxyproto reads and writes the header by which a proxy tells the
// next one who its client is: HAProxy's PROXY protocol, versions 1 (text) and
// 2 (binary), https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
//
// It is strict: what the specification does not allow is an error, and a
// connection with a wrong header must be closed (section 2).
package proxyproto

import (
	"bytes"
	"errors"
	"net/netip"
)

// A Header says between whom a connection was made.
type Header struct {
	// Source is the client, Destination what it connected to. Both are zero
	// where the header does not say: a proxy's own check of its peer, or a
	// kind of connection that is not TCP. The connection's own addresses
	// stand then.
	Source, Destination netip.AddrPort
}

// Longest is the length of the longest header that is taken, in bytes. The
// text has 107 at most (section 2.1); the binary one may have 65,551, with
// extensions that nobody looks at here.
const Longest = 4 << 10

// Errors of Parse.
var (
	ErrMissing   = errors.New("no PROXY header")
	ErrMalformed = errors.New("malformed PROXY header")
	ErrLong      = errors.New("PROXY header is too long")
	ErrChecksum  = errors.New("PROXY header with a wrong checksum")
)

var (
	signature1 = []byte("PROXY ")
	signature2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse reads the header that b starts with, n bytes long. Without an error n
// is 0 as long as b may be the beginning of one.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, signature1):
		return parse1(b)
	case begins(b, signature2):
		return parse2(b)
	}
	return Header{}, 0, ErrMissing
}

// begins reports whether b starts with signature as far as both go.
func begins(b, signature []byte) bool {
	n := min(len(b), len(signature))
	return bytes.Equal(b[:n], signature[:n])
}
