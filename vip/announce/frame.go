package announce

import (
	"encoding/binary"
	"net/netip"
)

// MAC is an Ethernet address.
type MAC [6]byte

const (
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
	arpRequest    = 1
	arpReply      = 2
	icmpv6        = 58
	naType        = 136 // RFC 4861, section 4.4
	naRouter      = 0x80
	naOverride    = 0x20
	naLen         = 32 // with the target link-layer address option
)

var (
	broadcast     = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodesMAC   = MAC{0x33, 0x33, 0, 0, 0, 1}
	allNodes      = netip.AddrFrom16([16]byte{0xff, 0x02, 15: 1})
	ethernetIPv4  = []byte{0, 1, 8, 0, 6, 4} // hardware and protocol type, their lengths
	arpPaddingLen = 18                       // up to Ethernet's minimum of 60 bytes
)

// Frames returns the Ethernet frames that announce ip at mac. router is the
// router flag of IPv6, set where the host forwards.
//
// An IPv4 address is announced by a request and by a reply, since some
// equipment listens to one of them only.
func Frames(mac MAC, ip netip.Addr, router bool) [][]byte {
	if ip.Is4() {
		return [][]byte{arp(arpRequest, mac, ip), arp(arpReply, mac, ip)}
	}
	return [][]byte{neighborAdvertisement(mac, ip, router)}
}

// arp is a gratuitous ARP packet: sender and target are both the address
// itself. The target hardware address is the broadcast one, as keepalived sends it.
func arp(op uint16, mac MAC, ip netip.Addr) []byte {
	b := ethernet(broadcast, mac, etherTypeARP)
	b = append(b, ethernetIPv4...)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(b, mac[:]...)
	b = append(b, ip.AsSlice()...)
	b = append(b, broadcast[:]...)
	b = append(b, ip.AsSlice()...)
	return append(b, make([]byte, arpPaddingLen)...)
}

func neighborAdvertisement(mac MAC, ip netip.Addr, router bool) []byte {
	flags := byte(naOverride)
	if router {
		flags |= naRouter
	}
	na := append([]byte{naType, 0, 0, 0, flags, 0, 0, 0}, ip.AsSlice()...)
	na = append(na, 2, 1) // option: target link-layer address, in units of eight bytes
	na = append(na, mac[:]...)

	pseudo := append(ip.AsSlice(), allNodes.AsSlice()...)
	pseudo = append(pseudo, 0, 0, 0, naLen, 0, 0, 0, icmpv6)
	binary.BigEndian.PutUint16(na[2:], checksum(append(pseudo, na...)))

	b := ethernet(allNodesMAC, mac, etherTypeIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, naLen, icmpv6, 255) // hop limit 255: RFC 4861, section 7.1.2
	b = append(b, ip.AsSlice()...)
	b = append(b, allNodes.AsSlice()...)
	return append(b, na...)
}

func ethernet(dst, src MAC, etherType uint16) []byte {
	b := append(dst[:], src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
