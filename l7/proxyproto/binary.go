package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The binary header (section 2.2): signature, version and command, family and
// transport, the length of what follows.
const (
	head2 = 16

	version2 = 0x20
	local    = 0x0 // a proxy's own connection
	proxied  = 0x1

	tcp4 = 0x11
	tcp6 = 0x21

	typeCRC32C = 0x03
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func parse2(b []byte) (h Header, n int, err error) {
	if len(b) < head2 {
		return h, 0, nil
	}
	n = head2 + int(binary.BigEndian.Uint16(b[14:]))
	command := b[12] & 0x0f
	switch {
	case b[12]&0xf0 != version2 || command > proxied:
		return h, 0, ErrMalformed
	case n > Longest:
		return h, 0, ErrLong
	case len(b) < n:
		return h, 0, nil
	}
	b = b[:n]
	rest := b[head2:]
	if command == proxied {
		if h, rest, err = addresses(b[13], rest); err != nil {
			return Header{}, 0, err
		}
	} else {
		rest = nil // to be skipped (section 2.2)
	}
	if err := extensions(b, rest); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// addresses parses those of a kind of connection, and returns what stands
// behind them. The addresses of other kinds than TCP are of no use here, and
// where they end is not known.
func addresses(kind byte, b []byte) (h Header, rest []byte, err error) {
	size := map[byte]int{tcp4: 4, tcp6: 16}[kind]
	switch {
	case size == 0:
		return h, nil, nil
	case len(b) < 2*size+4:
		return h, nil, ErrMalformed
	}
	source, _ := netip.AddrFromSlice(b[:size])
	destination, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	return Header{
		netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:])),
	}, ports[4:], nil
}

// extensions steps over the type-length-value fields at the end of header b
// and verifies the checksum where there is one (section 2.2.3).
func extensions(b, fields []byte) error {
	for len(fields) > 0 {
		if len(fields) < 3 {
			return ErrMalformed
		}
		kind, size := fields[0], int(binary.BigEndian.Uint16(fields[1:]))
		if len(fields) < 3+size {
			return ErrMalformed
		}
		value := fields[3 : 3+size]
		fields = fields[3+size:]
		if kind != typeCRC32C {
			continue
		}
		if size != crc32.Size {
			return ErrMalformed
		}
		// Taken with zeros in place of itself.
		at := len(b) - len(fields) - size
		sum := crc32.Update(0, castagnoli, b[:at])
		sum = crc32.Update(sum, castagnoli, make([]byte, size))
		sum = crc32.Update(sum, castagnoli, fields)
		if sum != binary.BigEndian.Uint32(value) {
			return ErrChecksum
		}
	}
	return nil
}

// Append2 appends h in binary. Addresses of different families, or none, are
// left out.
func Append2(dst []byte, h Header) []byte {
	dst = append(dst, signature2...)
	source, destination, is4, ok := h.common()
	switch {
	case !ok:
		return append(dst, version2|local, 0, 0, 0)
	case is4:
		dst = append(dst, version2|proxied, tcp4, 0, 12)
	default:
		dst = append(dst, version2|proxied, tcp6, 0, 36)
	}
	dst = append(append(dst, source.AsSlice()...), destination.AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	return binary.BigEndian.AppendUint16(dst, h.Destination.Port())
}
