package http2

import "bytes"

// A Field is a header or trailer field.
type Field struct{ Name, Value []byte }

// A Head is what a request says before its body. Its bytes are valid while the
// stream is served.
type Head struct {
	// Method is a token. Scheme and Path are empty in a CONNECT request
	// without Protocol.
	Method, Scheme, Path []byte
	// Authority is that of the :authority or Host field, where both are
	// there they agree. It may be empty.
	Authority []byte
	// Protocol is that of an extended CONNECT request (RFC 8441), else empty.
	Protocol []byte
	// Fields are the header fields in their order. Names are tokens in lower
	// case; values hold no control character but tabs. Host and fields that
	// concern a connection are not among them, crumbs of cookies have become
	// one field, the last.
	Fields []Field
	// ContentLength is that of the Content-Length field, -1 without one. A
	// body that does not keep to it ends with an error.
	ContentLength int64
	// HasBody is whether a body follows, which may be empty.
	HasBody bool

	host     []byte
	cookies  []Field
	arena    []byte
	size     int // RFC 9113, section 6.5.2
	large    bool
	trailers bool // the head is a trailer section
}

// A malformed says why a request is malformed (RFC 9113, section 8.1.1).
type malformed string

func (m malformed) Error() string { return string(m) }

func (h *Head) reset(trailers bool) {
	clear(h.Fields)
	clear(h.cookies)
	*h = Head{Fields: h.Fields[:0], cookies: h.cookies[:0], arena: h.arena[:0], ContentLength: -1, trailers: trailers}
}

// keep copies b into the arena.
func (h *Head) keep(b []byte) []byte {
	n := len(h.arena)
	h.arena = append(h.arena, b...)
	return h.arena[n:len(h.arena):len(h.arena)]
}

// add takes the next field, as decoded.
func (h *Head) add(name, value []byte, s *Settings) error {
	h.size += len(name) + len(value) + overhead
	if h.large = h.large || h.size > s.MaxHeaderList || len(h.Fields) >= s.MaxFields; h.large {
		return nil // what follows is decoded for the table's sake alone
	}
	if !validValue(value) {
		return malformed("field value")
	}
	if len(name) > 0 && name[0] == ':' {
		return h.pseudo(name, value)
	}
	if !validName(name) {
		return malformed("field name")
	}
	switch string(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return malformed("field of a connection") // section 8.2.2
	case "te":
		if string(value) != "trailers" {
			return malformed("te other than trailers")
		}
	case "content-length":
		if h.trailers {
			return malformed("content-length in trailers")
		}
		return h.contentLength(name, value)
	case "host":
		if h.host != nil || h.trailers {
			return malformed("several host fields")
		}
		h.host = h.keep(value)
		return nil
	case "cookie":
		h.cookies = append(h.cookies, Field{Value: h.keep(value)})
		return nil
	}
	h.Fields = append(h.Fields, Field{Name: h.keep(name), Value: h.keep(value)})
	return nil
}

// pseudo takes a pseudo-header field: each at most once, and before all others
// (section 8.3).
func (h *Head) pseudo(name, value []byte) error {
	if h.trailers || len(h.Fields) > 0 || h.host != nil || len(h.cookies) > 0 {
		return malformed("pseudo-header field behind others")
	}
	var to *[]byte
	switch string(name) {
	case ":method":
		to = &h.Method
	case ":scheme":
		to = &h.Scheme
	case ":authority":
		to = &h.Authority
	case ":path":
		to = &h.Path
	case ":protocol":
		to = &h.Protocol
	default:
		return malformed("unknown pseudo-header field")
	}
	if *to != nil {
		return malformed("pseudo-header field twice")
	}
	*to = h.keep(value)
	return nil
}

func (h *Head) contentLength(name, value []byte) error {
	if h.ContentLength >= 0 || len(value) == 0 || len(value) > 18 { // 18 digits fit an int64
		return malformed("content-length")
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return malformed("content-length")
		}
		n = n*10 + int64(c-'0')
	}
	h.ContentLength = n
	h.Fields = append(h.Fields, Field{Name: h.keep(name), Value: h.keep(value)})
	return nil
}

// finish checks what can only be seen at the end. connect is whether extended
// CONNECT was offered.
func (h *Head) finish(end, connect bool) error {
	if h.large || h.trailers {
		return nil
	}
	h.HasBody = !end
	if end && h.ContentLength > 0 {
		return malformed("content-length without a body")
	}
	if err := h.target(connect); err != nil {
		return err
	}
	switch {
	case h.host == nil:
	case h.Authority == nil:
		h.Authority = h.host
	case !bytes.EqualFold(h.host, h.Authority):
		// Who looks at the one serves what was asked of the other.
		return malformed("host other than :authority")
	}
	h.joinCookies()
	return nil
}

// target checks that the pseudo-header fields are those of the method (RFC
// 9113, sections 8.3.1 and 8.5; RFC 8441, section 4).
func (h *Head) target(connect bool) error {
	if !validToken(h.Method) {
		return malformed("method")
	}
	plain := string(h.Method) == "CONNECT"
	if h.Protocol != nil {
		if !plain || !connect || !validToken(h.Protocol) {
			return malformed("protocol")
		}
		plain = false
	}
	if plain {
		if h.Scheme != nil || h.Path != nil || len(h.Authority) == 0 {
			return malformed("target of connect")
		}
		return nil
	}
	if !validToken(h.Scheme) {
		return malformed("scheme")
	}
	if len(h.Path) == 0 || h.Path[0] != '/' && (string(h.Path) != "*" || string(h.Method) != "OPTIONS") {
		return malformed("path")
	}
	return nil
}

// joinCookies makes the crumbs of a cookie one field (section 8.2.3).
func (h *Head) joinCookies() {
	switch len(h.cookies) {
	case 0:
		return
	case 1:
		h.Fields = append(h.Fields, Field{Name: cookieName, Value: h.cookies[0].Value})
		return
	}
	n := len(h.arena)
	for i, c := range h.cookies {
		if i > 0 {
			h.arena = append(h.arena, "; "...)
		}
		h.arena = append(h.arena, c.Value...)
	}
	h.Fields = append(h.Fields, Field{Name: cookieName, Value: h.arena[n:]})
}

var cookieName = []byte("cookie")

// nameBytes holds what a field name consists of: tchar of RFC 9110, section
// 5.6.2, without upper-case letters (RFC 9113, section 8.2.1). upperBytes are
// those.
const (
	nameBytes = (1<<26-1)<<'a' | (1<<10-1)<<'0' |
		1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' |
		1<<'-' | 1<<'.' | 1<<'^' | 1<<'_' | 1<<'`' | 1<<'|' | 1<<'~'
	tokenBytes = nameBytes | (1<<26-1)<<'A'
)

func validName(b []byte) bool {
	for _, c := range b {
		if c > 127 || !in(nameBytes>>64, nameBytes&(1<<64-1), c) {
			return false
		}
	}
	return len(b) > 0
}

func validToken(b []byte) bool {
	for _, c := range b {
		if c > 127 || !in(tokenBytes>>64, tokenBytes&(1<<64-1), c) {
			return false
		}
	}
	return len(b) > 0
}

// in reports whether c is in a set of 128 bits.
func in(high, low uint64, c byte) bool {
	if c >= 64 {
		return high>>(c-64)&1 != 0
	}
	return low>>c&1 != 0
}

// validValue reports whether b may be a field value: no control character but
// the tab within, no blank at the ends (RFC 9113, section 8.2.1).
func validValue(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	n := len(b)
	return n == 0 || !blank(b[0]) && !blank(b[n-1])
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
