package drpath

import (
	"encoding/binary"
	"net/netip"
)

// What an event is.
type kind int

const (
	synAck kind = iota + 1
	reset
	claim // "I have this address", by ARP or neighbor advertisement
)

// An event is a frame that answers some attempt.
type event struct {
	kind kind
	// mac is the frame's sender for synAck and reset, the claimed one for claim.
	mac      mac
	src, dst netip.AddrPort
	ack      uint32
	addr     netip.Addr // of a claim
}

// parse reads a frame from the wire. Checksums are not looked at: between
// virtual interfaces they are not filled in.
func parse(b []byte) (event, bool) {
	if len(b) < etherLen {
		return event{}, false
	}
	from := mac(b[6:12])
	proto, b := binary.BigEndian.Uint16(b[12:]), b[etherLen:]
	switch {
	case proto == etherARP && len(b) >= arpLen:
		return parseARP(b)
	case proto == etherIPv4 && len(b) >= ipv4Len:
		return parseIPv4(from, b)
	case proto == etherIPv6 && len(b) >= ipv6Len:
		return parseIPv6(from, b)
	}
	return event{}, false
}

func parseARP(b []byte) (event, bool) {
	ethernetIPv4 := binary.BigEndian.Uint16(b) == 1 && binary.BigEndian.Uint16(b[2:]) == etherIPv4 && b[4] == 6 && b[5] == 4
	if !ethernetIPv4 || binary.BigEndian.Uint16(b[6:]) != arpReply {
		return event{}, false
	}
	return event{kind: claim, mac: mac(b[8:14]), addr: netip.AddrFrom4([4]byte(b[14:18]))}, true
}

func parseIPv4(from mac, b []byte) (event, bool) {
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:])&0x1fff != 0
	if b[0]>>4 != 4 || header < ipv4Len || total < header || total > len(b) || fragment || b[9] != protoTCP {
		return event{}, false
	}
	return parseTCP(from, netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[header:total])
}

func parseIPv6(from mac, b []byte) (event, bool) {
	length := int(binary.BigEndian.Uint16(b[4:]))
	if b[0]>>4 != 6 || ipv6Len+length > len(b) {
		return event{}, false
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	payload := b[ipv6Len : ipv6Len+length]
	switch b[6] {
	case protoTCP:
		return parseTCP(from, src, dst, payload)
	case protoICMPv6:
		// A hop limit of 255 shows that no router sent it on (RFC 4861,
		// section 7.1.2).
		if b[7] == 255 {
			return parseAdvertisement(from, payload)
		}
	}
	return event{}, false
}

func parseTCP(from mac, src, dst netip.Addr, b []byte) (event, bool) {
	if len(b) < tcpLen {
		return event{}, false
	}
	e := event{
		mac: from,
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])),
		ack: binary.BigEndian.Uint32(b[8:]),
	}
	switch flags := b[13]; {
	case flags&flagRST != 0:
		e.kind = reset
	case flags&(flagSYN|flagACK) == flagSYN|flagACK:
		e.kind = synAck
	default:
		return event{}, false
	}
	return e, true
}

func parseAdvertisement(from mac, b []byte) (event, bool) {
	if len(b) < ndLen || b[0] != ndAdvertise || b[1] != 0 {
		return event{}, false
	}
	e := event{kind: claim, mac: from, addr: netip.AddrFrom16([16]byte(b[8:24]))}
	for b = b[ndLen:]; len(b) >= optLen; {
		length := int(b[1]) * 8
		if length == 0 || length > len(b) {
			return event{}, false
		}
		if b[0] == ndOptTarget {
			e.mac = mac(b[2:8])
		}
		b = b[length:]
	}
	return e, true
}
