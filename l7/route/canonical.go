package route

import (
	"bytes"
	"errors"
	"net/netip"
)

// Reasons why a host or a path has no canonical form. A request that carries
// one is answered 400; a rule that carries one is left out and reported.
var (
	errHostByte  = errors.New("host holds a byte that no host name may hold")
	errHostLabel = errors.New("host has an empty label")
	errHostLong  = errors.New("host is longer than 253 bytes")
	errHostPort  = errors.New("host is followed by something that is not a port")
	errHostV6    = errors.New("host is not an IPv6 address in brackets")

	errPathSlash  = errors.New("path does not start with a slash")
	errPathByte   = errors.New("path holds a byte that must be percent-encoded")
	errPathEscape = errors.New("path holds a % without two hexadecimal digits")
	errPathNUL    = errors.New("path holds an encoded NUL")
	errPathHidden = errors.New("path hides a dot segment behind an encoded separator or a parameter")
)

// Byte classes of RFC 3986, sections 2.2, 2.3 and 3.3, as sets of 128 bits.
const (
	alpha      = (1<<26-1)<<'A' | (1<<26-1)<<'a'
	digit      = (1<<10 - 1) << '0'
	unreserved = alpha | digit | 1<<'-' | 1<<'.' | 1<<'_' | 1<<'~'
	subDelims  = 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' |
		1<<'*' | 1<<'+' | 1<<',' | 1<<';' | 1<<'='
	pchar = unreserved | subDelims | 1<<':' | 1<<'@'

	// browserRaw are the bytes that browsers send bare in a path (WHATWG URL,
	// path percent-encode set) although RFC 3986 has no place for them there.
	// Applications with [name] in their file names depend on them; encoding
	// them is unambiguous, so they are encoded rather than refused.
	browserRaw = 1<<'[' | 1<<']' | 1<<'^' | 1<<'|'

	// hostBytes is reg-name of RFC 3986, section 3.2.2, as far as DNS goes,
	// with the underscore, which is no host name but in daily use as one.
	hostBytes = alpha | digit | 1<<'-' | 1<<'_'

	low = 1<<64 - 1
)

func isUnreserved(c byte) bool { return isIn(unreserved&low, unreserved>>64, c) }
func isPchar(c byte) bool      { return isIn(pchar&low, pchar>>64, c) }
func isBrowserRaw(c byte) bool { return isIn(browserRaw&low, browserRaw>>64, c) }
func isHostByte(c byte) bool   { return isIn(hostBytes&low, hostBytes>>64, c) }

func isIn(lo, hi uint64, c byte) bool {
	switch c >> 6 {
	case 0:
		return lo>>c&1 != 0
	case 1:
		return hi>>(c-64)&1 != 0
	}
	return false
}

// CanonicalHost appends the canonical form of src, the value of a Host field
// or the authority of a request target, to dst: lower case, without port and
// without the dot that ends a fully qualified name. An IPv6 address keeps its
// brackets and is written as RFC 5952 says. Internationalised names pass in
// their xn-- form only. The empty host stays empty: HTTP/1.0 has none.
//
// It allocates only where dst lacks room, and for an IPv6 address.
func CanonicalHost(dst, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return dst, nil
	}
	if src[0] == '[' {
		return canonicalV6(dst, src)
	}
	name := src
	if i := bytes.IndexByte(src, ':'); i >= 0 {
		if !isPort(src[i+1:]) {
			return dst, errHostPort
		}
		name = src[:i]
	}
	name = bytes.TrimSuffix(name, []byte("."))
	if len(name) > 253 { // RFC 1035, section 2.3.4, as text
		return dst, errHostLong
	}
	base, label := len(dst), 0
	for _, c := range name {
		switch {
		case c == '.':
			if label == 0 {
				return dst[:base], errHostLabel
			}
			label = -1
		case !isHostByte(c):
			return dst[:base], errHostByte
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
		label++
	}
	if label == 0 {
		return dst[:base], errHostLabel
	}
	return dst, nil
}

// canonicalV6 is CanonicalHost for "[address]" and "[address]:port". Zones
// have no meaning on another machine and are refused (RFC 6874 left HTTP).
func canonicalV6(dst, src []byte) ([]byte, error) {
	end := bytes.IndexByte(src, ']')
	if end < 0 {
		return dst, errHostV6
	}
	if rest := src[end+1:]; len(rest) > 0 && (rest[0] != ':' || !isPort(rest[1:])) {
		return dst, errHostPort
	}
	addr, err := netip.ParseAddr(string(src[1:end]))
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return dst, errHostV6
	}
	dst = append(dst, '[')
	dst = addr.AppendTo(dst)
	return append(dst, ']'), nil
}

// isPort accepts what may follow a host's colon: nothing (RFC 3986, section
// 3.2.3), or a number up to 65535.
func isPort(b []byte) bool {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// CanonicalPath appends the canonical form of src, the path of a request
// target without its query, to dst. Matching, authorisation, rewriting and
// forwarding all use this one form, so that none of them can see a path that
// another does not. It is RFC 3986, section 6.2.2, applied once:
//
//   - %XX of an unreserved byte is decoded, every other %XX is kept with
//     upper-case digits. So %2F never becomes a separator, and %3B, %3F, %23,
//     %25 and %5C stay data.
//   - Empty elements are dropped ("//" is "/"), then dot segments are removed,
//     encoded ones (%2e) too. A ".." at the root is dropped.
//   - The bytes [ ] ^ | are encoded; browsers send them bare.
//   - An empty path is "/" (section 6.2.3).
//
// It is an error (for a request: 400)
//
//   - not to start with "/"; to hold a byte that must be encoded, among them
//     "?" and "#", which end a path, "\", which some backends take for "/",
//     control bytes and bytes above 0x7E; or a % without two digits;
//   - %00, which ends the path for a backend written in C and has no honest
//     use;
//   - a dot segment that only a backend would see: "..%2f", "..%5c" and "..;",
//     for those that decode %2F, take "\" for "/", or cut ";parameters" off
//     before they remove dot segments. Without a dot segment beside them %2F,
//     %5C and ";" are in honest use and pass.
//
// The result starts with "/", is its own canonical form, and is at most three
// times as long as src. Nothing is allocated where dst has room.
func CanonicalPath(dst, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return append(dst, '/'), nil
	}
	if src[0] != '/' {
		return dst, errPathSlash
	}
	base := len(dst)
	dst = append(dst, '/')
	for i := 1; i <= len(src); i++ { // one element a round; dst ends with "/"
		start := len(dst)
		var err error
		if dst, i, err = appendElement(dst, src, i); err != nil {
			return dst[:base], err
		}
		switch elem := dst[start:]; {
		case len(elem) == 0:
		case string(elem) == ".":
			dst = dst[:start]
		case string(elem) == "..":
			parent := bytes.LastIndexByte(dst[base:start-1], '/')
			dst = dst[:base+parent+1]
			if parent < 0 {
				dst = dst[:start]
			}
		case hidesDots(elem):
			return dst[:base], errPathHidden
		case i < len(src):
			dst = append(dst, '/')
		}
	}
	return dst, nil
}

// appendElement appends the element of src that starts at i and returns where
// it ends: at a slash or at the end of src.
func appendElement(dst, src []byte, i int) ([]byte, int, error) {
	for ; i < len(src) && src[i] != '/'; i++ {
		c := src[i]
		switch {
		case isPchar(c):
			dst = append(dst, c)
			continue
		case c == '%':
			if i+2 >= len(src) {
				return dst, i, errPathEscape
			}
			hi, lo := unhex(src[i+1]), unhex(src[i+2])
			if hi > 15 || lo > 15 {
				return dst, i, errPathEscape
			}
			i += 2
			c = hi<<4 | lo
			if c == 0 {
				return dst, i, errPathNUL
			}
			if isUnreserved(c) {
				dst = append(dst, c)
				continue
			}
		case !isBrowserRaw(c):
			return dst, i, errPathByte
		}
		const hex = "0123456789ABCDEF"
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst, i, nil
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// hidesDots reports whether a canonical element holds a dot segment for
// somebody who takes %2F and %5C for separators and ";" or %3B for the start
// of parameters.
func hidesDots(elem []byte) bool {
	for len(elem) > 0 {
		dots := 0
		for dots < len(elem) && elem[dots] == '.' {
			dots++
		}
		if dots == 1 || dots == 2 {
			if rest := elem[dots:]; len(rest) == 0 || rest[0] == ';' || separator(rest) > 0 {
				return true
			}
		}
		// On to what follows the next separator.
		for len(elem) > 0 {
			if n := separator(elem); n > 0 {
				elem = elem[n:]
				break
			}
			elem = elem[1:]
		}
	}
	return false
}

// separator returns how long the encoded separator is that b starts with, 0
// if it starts with none.
func separator(b []byte) int {
	if len(b) < 3 || b[0] != '%' {
		return 0
	}
	switch string(b[1:3]) {
	case "2F", "5C", "3B":
		return 3
	}
	return 0
}
