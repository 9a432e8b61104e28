package drpath

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// A mac is an Ethernet address.
type mac [6]byte

func (m mac) String() string { return net.HardwareAddr(m[:]).String() }

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// The numbers of the headers.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protoTCP    = 6
	protoICMPv6 = 58

	arpRequest = 1
	arpReply   = 2

	ndSolicit   = 135 // RFC 4861, section 4.3
	ndAdvertise = 136 // section 4.4
	ndOptSource = 1
	ndOptTarget = 2

	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// Lengths of headers without options.
const (
	etherLen = 14
	arpLen   = 28
	ipv4Len  = 20
	ipv6Len  = 40
	tcpLen   = 20
	ndLen    = 24
	optLen   = 8
)

// A segment is a TCP header without payload.
type segment struct {
	src, dst netip.AddrPort
	seq      uint32
	flags    byte
}

// frame returns the segment in an Ethernet frame. Its addresses are of one
// family.
func (s segment) frame(from, to mac) []byte {
	options := []byte(nil)
	if s.flags&flagSYN != 0 {
		// The smallest segment that every link carries: nothing will be sent.
		options = []byte{2, 4, 536 >> 8, 536 & 0xff}
	}
	tcp := make([]byte, tcpLen, tcpLen+len(options))
	binary.BigEndian.PutUint16(tcp[0:], s.src.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.seq)
	tcp[12] = byte((tcpLen + len(options)) / 4 << 4)
	tcp[13] = s.flags
	binary.BigEndian.PutUint16(tcp[14:], 1024) // the window
	tcp = append(tcp, options...)
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudo(s.src.Addr(), s.dst.Addr(), protoTCP, len(tcp)), tcp))
	return packet(from, to, s.src.Addr(), s.dst.Addr(), protoTCP, 64, tcp)
}

// packet returns payload in an IP packet in an Ethernet frame.
func packet(from, to mac, src, dst netip.Addr, proto, ttl byte, payload []byte) []byte {
	if src.Is6() {
		b := ethernet(from, to, etherIPv6, ipv6Len+len(payload))
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(b, proto, ttl)
		b = append(b, src.AsSlice()...)
		b = append(b, dst.AsSlice()...)
		return append(b, payload...)
	}
	b := ethernet(from, to, etherIPv4, ipv4Len+len(payload))
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Len+len(payload)))
	b = append(b, 0, 0, 0x40, 0, ttl, proto, 0, 0) // don't fragment
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[etherLen+10:], checksum(0, b[etherLen:]))
	return append(b, payload...)
}

func ethernet(from, to mac, proto uint16, room int) []byte {
	b := make([]byte, 0, etherLen+room)
	b = append(b, to[:]...)
	b = append(b, from[:]...)
	return binary.BigEndian.AppendUint16(b, proto)
}

// whoHas asks for the MAC address of target: by ARP (RFC 826), or by a
// neighbor solicitation (RFC 4861, section 4.3). As a probe, IPv4 names no
// sender (RFC 5227), so that nobody learns anything from it.
func whoHas(from, to mac, sender, target netip.Addr, probe bool) []byte {
	if target.Is6() {
		return solicit(from, to, sender, target)
	}
	b := ethernet(from, to, etherARP, arpLen)
	b = append(b, 0, 1, etherIPv4>>8, etherIPv4&0xff, 6, 4, 0, arpRequest)
	b = append(b, from[:]...)
	if probe {
		sender = netip.IPv4Unspecified()
	}
	b = append(b, sender.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, target.AsSlice()...)
}

func solicit(from, to mac, sender, target netip.Addr) []byte {
	t := target.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]})
	if to == broadcast {
		g := group.As16()
		to = mac{0x33, 0x33, g[12], g[13], g[14], g[15]} // RFC 2464, section 7
	}
	nd := make([]byte, 8, ndLen+optLen)
	nd[0] = ndSolicit
	nd = append(nd, t[:]...)
	nd = append(nd, ndOptSource, 1)
	nd = append(nd, from[:]...)
	binary.BigEndian.PutUint16(nd[2:], checksum(pseudo(sender, group, protoICMPv6, len(nd)), nd))
	return packet(from, to, sender, group, protoICMPv6, 255, nd)
}

// pseudo returns the sum of the pseudo-header (RFC 9293, section 3.1; RFC
// 8200, section 8.1).
func pseudo(src, dst netip.Addr, proto byte, length int) uint32 {
	return sum(sum(uint32(proto)+uint32(length), src.AsSlice()), dst.AsSlice())
}

func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	return s
}

// checksum returns the Internet checksum (RFC 1071) of b and what was summed
// before.
func checksum(s uint32, b []byte) uint16 {
	for s = sum(s, b); s > 0xffff; {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
