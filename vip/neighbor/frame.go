package neighbor

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String is the address as `ip link` prints it.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText makes it a string in JSON.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads that string.
func (m *MAC) UnmarshalText(b []byte) error {
	hw, err := net.ParseMAC(string(b))
	if err == nil && len(hw) != len(m) {
		err = fmt.Errorf("%q is no Ethernet address", b)
	}
	if err != nil {
		return err
	}
	*m = MAC(hw)
	return nil
}

// Claim says that a host has an address.
type Claim struct {
	IP  netip.Addr
	MAC MAC
}

const (
	headerLen     = 14
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd

	arpLen     = 28
	arpRequest = 1
	arpReply   = 2

	ipv6Len      = 40
	icmpv6       = 58
	hopLimit     = 255 // proves that a message is of this link (RFC 4861, section 7.1)
	nsType       = 135 // RFC 4861, section 4.3
	naType       = 136 // RFC 4861, section 4.4
	naRouter     = 0x80
	naOverride   = 0x20
	ndLen        = 24 // type, code, checksum, flags, target
	sourceOption = 1  // source link-layer address, RFC 4861, section 4.6.1
	targetOption = 2  // target link-layer address
)

var (
	broadcast    = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes     = netip.AddrFrom16([16]byte{0xff, 0x02, 15: 1})
	ethernetIPv4 = [6]byte{0, 1, 8, 0, 6, 4} // hardware and protocol type, their lengths
)

// Announcement returns the frames that make a claim known to a link: a
// gratuitous ARP request and a reply, since some equipment listens to one of
// them only; or an unsolicited Neighbor Advertisement (RFC 4861, section
// 7.2.6), in which router says whether the host forwards IPv6.
func Announcement(c Claim, router bool) [][]byte {
	if c.IP.Is4() {
		// The target hardware address is the broadcast one, as keepalived sends it.
		return [][]byte{arp(arpRequest, c.MAC, c.IP, broadcast, c.IP), arp(arpReply, c.MAC, c.IP, broadcast, c.IP)}
	}
	flags := byte(naOverride)
	if router {
		flags |= naRouter
	}
	return [][]byte{icmp(naType, flags, c.MAC, c.IP, allNodes, c.IP, targetOption)}
}

// Question returns the frame that asks who has ip, in a way that moves no
// entry in anybody's neighbour cache.
//
// For IPv4 that is the ARP probe of RFC 5227, section 2.1.1, whose sender
// address is 0.0.0.0; from is not used. For IPv6 it is a Neighbor Solicitation
// from the asker's own address: the solicitation from :: of duplicate address
// detection would be answered to all nodes, with the override flag (RFC 4861,
// section 7.2.4), and so give a silent second owner the traffic of everybody.
func Question(mac MAC, from, ip netip.Addr) []byte {
	if ip.Is4() {
		return arp(arpRequest, mac, netip.IPv4Unspecified(), MAC{}, ip)
	}
	return icmp(nsType, 0, mac, from, solicitedNode(ip), ip, sourceOption)
}

// arp returns a broadcast ARP packet.
func arp(op uint16, mac MAC, ip netip.Addr, targetMAC MAC, target netip.Addr) []byte {
	b := ethernet(broadcast, mac, etherTypeARP)
	b = append(b, ethernetIPv4[:]...)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, mac[:]...), ip.AsSlice()...)
	b = append(append(b, targetMAC[:]...), target.AsSlice()...)
	const padding = 18 // up to Ethernet's minimum of 60 bytes
	return append(b, make([]byte, padding)...)
}

// icmp returns a multicast Neighbor Discovery message about target with one
// option, the sender's hardware address.
func icmp(kind, flags byte, mac MAC, from, to, target netip.Addr, option byte) []byte {
	nd := append([]byte{kind, 0, 0, 0, flags, 0, 0, 0}, target.AsSlice()...)
	nd = append(nd, option, 1) // in units of eight bytes
	nd = append(nd, mac[:]...)

	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = append(pseudo, 0, 0, 0, byte(len(nd)), 0, 0, 0, icmpv6)
	binary.BigEndian.PutUint16(nd[2:], checksum(append(pseudo, nd...)))

	group := to.As16()
	b := ethernet(MAC{0x33, 0x33, group[12], group[13], group[14], group[15]}, mac, etherTypeIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(nd)), icmpv6, hopLimit)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(b, nd...)
}

func ethernet(dst, src MAC, etherType uint16) []byte {
	b := append(dst[:], src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// solicitedNode is the group of RFC 4291, section 2.7.1, that who has ip listens to.
func solicitedNode(ip netip.Addr) netip.Addr {
	a := ip.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// Parse returns what a received Ethernet frame claims: an ARP packet for its
// sender, a Neighbor Advertisement for its target. Anything else, and what no
// host would believe, claims nothing.
func Parse(frame []byte) (Claim, bool) {
	if len(frame) < headerLen {
		return Claim{}, false
	}
	var c Claim
	ok := false
	switch body := frame[headerLen:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherTypeARP:
		c, ok = parseARP(body)
	case etherTypeIPv6:
		c, ok = parseAdvertisement(body, MAC(frame[6:12]))
	}
	group := c.MAC[0]&1 != 0
	return c, ok && c.IP.IsValid() && !c.IP.IsUnspecified() && !group && c.MAC != MAC{}
}

func parseARP(b []byte) (Claim, bool) {
	if len(b) < arpLen || [6]byte(b) != ethernetIPv4 {
		return Claim{}, false
	}
	op := binary.BigEndian.Uint16(b[6:])
	return Claim{IP: netip.AddrFrom4([4]byte(b[14:])), MAC: MAC(b[8:14])}, op == arpRequest || op == arpReply
}

// parseAdvertisement reads an IPv6 packet. Without an option, src, who sent
// the frame, is the claimant.
func parseAdvertisement(b []byte, src MAC) (Claim, bool) {
	if len(b) < ipv6Len+ndLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != hopLimit {
		return Claim{}, false
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < ndLen || len(b) < ipv6Len+n {
		return Claim{}, false
	}
	nd := b[ipv6Len : ipv6Len+n]
	pseudo := append(make([]byte, 0, 64+n), b[8:ipv6Len]...)
	pseudo = append(pseudo, 0, 0, b[4], b[5], 0, 0, 0, icmpv6)
	if nd[0] != naType || nd[1] != 0 || checksum(append(pseudo, nd...)) != 0 {
		return Claim{}, false
	}
	c := Claim{IP: netip.AddrFrom16([16]byte(nd[8:])), MAC: src}
	for opts := nd[ndLen:]; len(opts) > 0; {
		n := 0
		if len(opts) >= 2 {
			n = 8 * int(opts[1])
		}
		if n == 0 || n > len(opts) {
			return Claim{}, false // RFC 4861, section 4.6: discard the packet
		}
		if opts[0] == targetOption {
			c.MAC = MAC(opts[2:8])
		}
		opts = opts[n:]
	}
	return c, !c.IP.Is4In6() && !c.IP.IsMulticast()
}

// checksum is the Internet checksum (RFC 1071); over bytes that contain
// theirs it is zero.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
