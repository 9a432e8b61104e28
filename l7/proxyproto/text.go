package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// longest1 is the length of the longest text (section 2.1).
const longest1 = 107

// parse1 parses "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n".
func parse1(b []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) >= longest1, end >= longest1:
		return h, 0, ErrLong
	case end < 0:
		return h, 0, nil
	case end == 0 || b[end-1] != '\r':
		return h, 0, ErrMalformed
	}
	parts := strings.Split(string(b[len(signature1):end-1]), " ")
	switch {
	case parts[0] == "UNKNOWN": // the rest is to be ignored
	case len(parts) == 5 && (parts[0] == "TCP4" || parts[0] == "TCP6"):
		is4 := parts[0] == "TCP4"
		source, ok1 := endpoint(parts[1], parts[3], is4)
		destination, ok2 := endpoint(parts[2], parts[4], is4)
		if !ok1 || !ok2 {
			return h, 0, ErrMalformed
		}
		h = Header{source, destination}
	default:
		return h, 0, ErrMalformed
	}
	return h, end + 1, nil
}

// endpoint parses an address of one family and a port as the text has them.
func endpoint(addr, port string, is4 bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Is4() != is4 || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// Append1 appends h as text. Addresses of different families, or none, are
// "UNKNOWN".
func Append1(dst []byte, h Header) []byte {
	dst = append(dst, signature1...)
	source, destination, is4, ok := h.common()
	if !ok {
		return append(dst, "UNKNOWN\r\n"...)
	}
	if is4 {
		dst = append(dst, "TCP4 "...)
	} else {
		dst = append(dst, "TCP6 "...)
	}
	dst = append(source.AppendTo(dst), ' ')
	dst = append(destination.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
	return append(dst, '\r', '\n')
}

// common returns both addresses in one family, which ok says that there is.
func (h Header) common() (source, destination netip.Addr, is4, ok bool) {
	source, destination = h.Source.Addr().Unmap().WithZone(""), h.Destination.Addr().Unmap().WithZone("")
	return source, destination, source.Is4(), source.IsValid() && destination.IsValid() && source.Is4() == destination.Is4()
}
