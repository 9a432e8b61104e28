package vrrp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Protocol is VRRP's IP protocol number (RFC 9568, section 5.1.1.4).
const Protocol = 112

// Sizes and fixed values of the message (RFC 9568, section 5.2; RFC 3768, section 5.3).
const (
	headerLen     = 8
	passwordLen   = 8 // version 2 always ends in eight bytes of authentication data
	typeAdvert    = 1
	checksumAt    = 6
	maxIntervalCs = 0x0fff // twelve bits of centiseconds
)

// Packet is one VRRP ADVERTISEMENT.
type Packet struct {
	// Version is 2 or 3.
	Version uint8
	// VRID names the virtual router on its link, 1 to 255.
	VRID uint8
	// Priority is 0 when the Active resigns, else 1 to 255.
	Priority uint8
	// Interval is the sender's advertisement interval: whole seconds up to
	// 255 in version 2, centiseconds up to 4095 in version 3.
	Interval time.Duration
	// Addrs are the virtual addresses, all of the family the packet travels in.
	Addrs []netip.Addr
	// Auth and Password belong to version 2 (RFC 2338, section 5.3.6).
	Auth     Auth
	Password Password
	// Trailer belongs to version 3.
	Trailer Trailer
	// PlainChecksum makes Append leave the pseudo-header out of the checksum of
	// version 3 over IPv4. Parse does not set it.
	PlainChecksum bool
}

// Auth is version 2's authentication type.
type Auth uint8

// The authentication types in use. RFC 3768 abolished both others of RFC 2338;
// the simple password lives on in keepalived as auth_type PASS.
const (
	AuthNone     Auth = 0
	AuthPassword Auth = 1
)

// Password is the zero-padded simple password of version 2, in clear on the
// wire. It prints as a placeholder, so that no log can show it.
type Password [passwordLen]byte

func (Password) String() string { return "(hidden)" }

// GoString hides the password from %#v too.
func (Password) GoString() string { return "(hidden)" }

// Equal reports whether p and q say the same.
func (p Packet) Equal(q Packet) bool {
	return p.Version == q.Version && p.VRID == q.VRID && p.Priority == q.Priority && p.Interval == q.Interval &&
		p.Auth == q.Auth && p.Password == q.Password && p.Trailer == q.Trailer && slices.Equal(p.Addrs, q.Addrs)
}

// Append appends the packet to b as it travels from src to dst. The addresses
// enter the checksum of version 3 alone; over IPv4 too, as keepalived does by
// default (RFC 9568, section 5.2.8 leaves the pseudo-header to IPv6). Over IPv6
// the checksum covers the trailer, as that of every IPv6 payload does.
func (p Packet) Append(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = p.message(b)
	end := len(b)
	if p.Trailer != (Trailer{}) {
		b = p.Trailer.append(b)
		if src.Is6() {
			end = len(b)
		}
	}
	m := b[start:end]
	sum := uint32(0)
	if p.Version == 3 && (src.Is6() || !p.PlainChecksum) {
		sum = pseudoHeader(src, dst, len(m))
	}
	binary.BigEndian.PutUint16(m[checksumAt:], checksum(sum, m))
	return b
}

// message appends the packet without checksum and trailer.
func (p Packet) message(b []byte) []byte {
	b = append(b, p.Version<<4|typeAdvert, p.VRID, p.Priority, uint8(len(p.Addrs)))
	if p.Version == 2 {
		b = append(b, uint8(p.Auth), uint8(p.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(p.Interval/centisecond)&maxIntervalCs)
	}
	b = append(b, 0, 0)
	for _, a := range p.Addrs {
		b = append(b, a.AsSlice()...)
	}
	if p.Version == 2 {
		b = append(b, p.Password[:]...)
	}
	return b
}

// Parse reads a packet that travelled from src to dst. Bytes after the message
// that are no trailer are ignored (RFC 9568, section 7.1 asks for a complete packet). What it
// returns does not alias b. The verdict is Accepted or why the packet is none.
func Parse(b []byte, src, dst netip.Addr) (Packet, Verdict) {
	if len(b) < headerLen {
		return Packet{}, BadLength
	}
	p := Packet{Version: b[0] >> 4, VRID: b[1], Priority: b[2]}
	if p.Version != 3 && (p.Version != 2 || !src.Is4()) {
		return Packet{}, BadVersion
	}
	if b[0]&0x0f != typeAdvert {
		return Packet{}, BadType
	}

	size, count := src.BitLen()/8, int(b[3])
	end := headerLen + count*size
	total := end
	if p.Version == 2 {
		total += passwordLen
	}
	if len(b) < total {
		return Packet{}, BadLength
	}
	rest := b[total:]
	if p.Version == 3 && len(rest) >= trailerLen && rest[0] == trailerType {
		p.Trailer = parseTrailer(rest)
	}
	if !sumsUp(b[:total], p.Version, src, dst) && (p.Trailer == Trailer{} || !src.Is6() || !sumsUp(b[:total+trailerLen], p.Version, src, dst)) {
		return Packet{}, BadChecksum
	}
	b = b[:total]
	if count == 0 || p.VRID == 0 {
		return Packet{}, BadField
	}

	if p.Version == 2 {
		p.Auth, p.Interval = Auth(b[4]), time.Duration(b[5])*time.Second
		copy(p.Password[:], b[end:])
	} else {
		p.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&maxIntervalCs) * centisecond
	}
	if p.Interval == 0 {
		return Packet{}, BadInterval
	}
	for at := headerLen; at < end; at += size {
		a, _ := netip.AddrFromSlice(b[at : at+size])
		p.Addrs = append(p.Addrs, a)
	}
	return p, Accepted
}

const centisecond = 10 * time.Millisecond

// sumsUp reports whether the checksum is one that a version 3 or 2 sender may
// have computed. Version 3 over IPv4 is met with the pseudo-header (keepalived,
// FRR) and without (Cisco, Juniper); both are taken.
func sumsUp(m []byte, version uint8, src, dst netip.Addr) bool {
	if version == 3 && checksum(pseudoHeader(src, dst, len(m)), m) == 0 {
		return true
	}
	return src.Is4() && checksum(0, m) == 0
}

// pseudoHeader sums what RFC 8200, section 8.1 (and RFC 793 for IPv4) puts
// before the message. In both the length and the protocol stand in 16-bit
// places of their own, so one sum serves both.
func pseudoHeader(src, dst netip.Addr, length int) uint32 {
	sum := uint32(length) + Protocol
	for _, a := range []netip.Addr{src, dst} {
		sum = addWords(sum, a.AsSlice())
	}
	return sum
}

// checksum is the Internet checksum (RFC 1071) of b on top of sum. Over a
// message that carries its own checksum it is zero.
func checksum(sum uint32, b []byte) uint16 {
	sum = addWords(sum, b)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// addWords cannot overflow: a message has at most 4 kB.
func addWords(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum
}
