package bpf_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Frames are put together from the inside out: each function wraps what it is given.

type mac [6]byte

var (
	router   = mac{2, 0, 0, 0, 0, 0xfe}
	director = mac{2, 0, 0, 0, 0, 1}
	peer     = mac{2, 0, 0, 0, 0, 2}
	second   = mac{2, 0, 0, 0, 1, 1} // the director's other interface
)

const (
	typeIP4  = 0x0800
	typeIP6  = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	fin, syn, rst, ack = 1, 2, 4, 16
)

var (
	be = binary.BigEndian
	le = binary.LittleEndian
)

func ether(dst, src mac, kind uint16, payload []byte) []byte {
	return slices.Concat(dst[:], src[:], be.AppendUint16(nil, kind), payload)
}

// tagged puts a VLAN tag behind the addresses of a frame.
func tagged(kind, tci uint16, frame []byte) []byte {
	return slices.Insert(slices.Clone(frame), 12, byte(kind>>8), byte(kind), byte(tci>>8), byte(tci))
}

func ip4(src, dst netip.Addr, proto byte, payload []byte, with ...func([]byte)) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, proto
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	for _, w := range with {
		w(h)
	}
	h = append(h, make([]byte, int(h[0]&15)*4-20)...)
	for i := 20; i < len(h); i++ {
		h[i] = 1 // no operation
	}
	be.PutUint16(h[2:], uint16(len(h)+len(payload)))
	return append(h, payload...)
}

// options lengthens an IPv4 header by n words.
func options(n byte) func([]byte) { return func(h []byte) { h[0] += n } }

// fragment4 makes an IPv4 packet a fragment.
func fragment4(id, offset uint16, more bool) func([]byte) {
	return func(h []byte) {
		be.PutUint16(h[4:], id)
		if be.PutUint16(h[6:], offset/8); more {
			h[6] |= 0x20
		}
	}
}

func ip6(src, dst netip.Addr, next byte, payload []byte) []byte {
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, next, 64
	be.PutUint16(h[4:], uint16(len(payload)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, payload...)
}

// extension is an IPv6 extension header of 8 bytes and units more.
func extension(next, units byte, payload []byte) []byte {
	return append(append([]byte{next, units}, make([]byte, 6+8*int(units))...), payload...)
}

// fragment6 is an IPv6 fragment header.
func fragment6(next byte, id uint32, offset uint16, more bool, payload []byte) []byte {
	h := be.AppendUint16([]byte{next, 0}, offset)
	if more {
		h[3] |= 1
	}
	return append(be.AppendUint32(h, id), payload...)
}

func tcp(src, dst uint16, flags byte) []byte {
	h := make([]byte, 20)
	be.PutUint16(h, src)
	be.PutUint16(h[2:], dst)
	h[12], h[13] = 5<<4, flags
	return h
}

func udp(src, dst uint16, payload ...byte) []byte {
	h := be.AppendUint16(be.AppendUint16(nil, src), dst)
	h = be.AppendUint16(h, uint16(8+len(payload)))
	return append(append(h, 0, 0), payload...)
}

// icmp is an ICMP or ICMPv6 message that quotes a packet.
func icmp(kind, code byte, quoted []byte) []byte {
	return append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quoted...)
}

// packet wraps a transport header for the director.
func packet(src, dst netip.Addr, proto byte, payload []byte) []byte {
	if src.Is4() {
		return ether(director, router, typeIP4, ip4(src, dst, proto, payload))
	}
	return ether(director, router, typeIP6, ip6(src, dst, proto, payload))
}

// fromClient is a TCP packet for the service.
func fromClient(client, vip netip.AddrPort, flags byte) []byte {
	return packet(client.Addr(), vip.Addr(), protoTCP, tcp(client.Port(), vip.Port(), flags))
}

// datagram is a UDP packet for the service.
func datagram(client, vip netip.AddrPort) []byte {
	return packet(client.Addr(), vip.Addr(), protoUDP, udp(client.Port(), vip.Port(), 'h', 'i'))
}
