package http1

import "encoding/binary"

// A Span is a piece of the buffer that a head was parsed from.
type Span struct{ Start, End uint32 }

// Of returns the piece of b, the buffer that was parsed.
func (s Span) Of(b []byte) []byte { return b[s.Start:s.End] }

// Len returns the piece's length in bytes.
func (s Span) Len() int { return int(s.End - s.Start) }

// A Field is one header field line. It starts where its name starts.
type Field struct {
	Name  Span
	Value Span   // without the whitespace around it
	End   uint32 // behind the line's CRLF
	Kind  Kind
	// Drop is set when the field is not to be forwarded: it concerns this
	// connection alone (RFC 9110, section 7.6.1), or must not be believed.
	Drop bool
}

// A Kind tells the fields that the engine has to know from the others.
type Kind uint8

// The kinds of fields.
const (
	Other Kind = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Expect
	Upgrade
	TE
	// Hop is any other field that concerns one connection only, and Proxy,
	// which CGI programs take for their own environment (CVE-2016-5385).
	Hop
	// Forwarded, X-Forwarded-For, -Proto, -Host, -Port and X-Real-Ip: only
	// believed when a trusted proxy sent them.
	Forwarded
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XRealIP
	// XForwarded is any other X-Forwarded- field.
	XForwarded
	// Alias is a name that becomes one of the above where "_" is taken for
	// "-", as CGI, WSGI and their children do.
	Alias
)

// kindOf returns the kind of a valid field name.
func kindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		return when(name, "te", TE)
	case 4:
		return when(name, "host", Host)
	case 5:
		return when(name, "proxy", Hop)
	case 6:
		return when(name, "expect", Expect)
	case 7:
		return when(name, "upgrade", Upgrade)
	case 9:
		return when(name, "forwarded", Forwarded) | when(name, "x-real-ip", XRealIP)
	case 10:
		return when(name, "connection", Connection) | when(name, "keep-alive", Hop)
	case 14:
		if k := when(name, "content-length", ContentLength) | when(name, "http2-settings", Hop); k != Other {
			return k
		}
	case 16:
		if k := when(name, "proxy-connection", Hop); k != Other {
			return k
		}
	case 17:
		if k := when(name, "transfer-encoding", TransferEncoding); k != Other {
			return k
		}
	}
	const prefix = "x-forwarded-"
	if len(name) <= len(prefix) || !Fold(name[:len(prefix)], prefix) {
		return Other
	}
	switch rest := name[len(prefix):]; {
	case Fold(rest, "for"):
		return XForwardedFor
	case Fold(rest, "proto"):
		return XForwardedProto
	case Fold(rest, "host"):
		return XForwardedHost
	case Fold(rest, "port"):
		return XForwardedPort
	}
	return XForwarded
}

func when(name []byte, lower string, k Kind) Kind {
	if Fold(name, lower) {
		return k
	}
	return Other
}

// Fold reports whether token b is lower, a lower-case token, in any case.
// Setting bit 5 maps upper-case letters on lower-case ones, and no other token
// byte on a letter, a digit or the hyphen.
func Fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// aliasOf is kindOf for a name with an underscore.
func aliasOf(name []byte) Kind {
	var plain [20]byte // longer than any name that kindOf knows whole
	n := copy(plain[:], name)
	for i, c := range plain[:n] {
		if c == '_' {
			plain[i] = '-'
		}
	}
	if len(name) > len(plain) {
		n = len("x-forwarded-") + 1
	}
	if kindOf(plain[:n]) != Other {
		return Alias
	}
	return Other
}

// nameKind returns the kind of name, and false when it is no field name
// (RFC 9110, section 5.1: a token).
func nameKind(name []byte) (Kind, bool) {
	underscore := false
	for _, c := range name {
		if !isToken(c) {
			return Other, false
		}
		underscore = underscore || c == '_'
	}
	if underscore {
		return aliasOf(name), true
	}
	return kindOf(name), len(name) > 0
}

// tokenBytes is tchar of RFC 9110, section 5.6.2, as a set of 128 bits.
const tokenBytes = (1<<26-1)<<'A' | (1<<26-1)<<'a' | (1<<10-1)<<'0' |
	1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' |
	1<<'-' | 1<<'.' | 1<<'^' | 1<<'_' | 1<<'`' | 1<<'|' | 1<<'~'

func isToken(c byte) bool {
	switch c >> 6 {
	case 0:
		return uint64(tokenBytes&(1<<64-1))>>c&1 != 0
	case 1:
		return uint64(tokenBytes>>64)>>(c-64)&1 != 0
	}
	return false
}

func isTokenString(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

// validValue reports whether b may be a field value: no control character but
// the tab (RFC 9110, section 5.5). Bytes above 0x7F are opaque and pass.
func validValue(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ ones*0x7F
		if ((x-ones*0x20)&^x|(del-ones)&^del)&highs != 0 && !validBytes(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return validBytes(b)
}

func validBytes(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

func trimStart(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

func trimEnd(b []byte) int {
	n := len(b)
	for n > 0 && (b[n-1] == ' ' || b[n-1] == '\t') {
		n--
	}
	return n
}
