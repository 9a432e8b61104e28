package vrrp

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"
)

// Verdict is what became of a received datagram.
type Verdict uint8

// Accepted is the one good verdict; the others say why a datagram was dropped.
const (
	Accepted    Verdict = iota
	BadLength           // shorter than its fields say
	BadVersion          // not the version of this virtual router
	BadType             // not an ADVERTISEMENT
	BadChecksum         // corrupted on its way
	BadField            // no address, or VRID 0
	BadInterval         // zero, or in version 2 another than ours
	BadTTL              // TTL or hop limit too low: it came through a router
	OtherVRID           // another virtual router of the same link
	BadAuth             // another authentication type or password
	OwnAddress          // our own datagram came back
	NotPeer             // unicast from an unlisted host, or unicast where multicast is spoken
	NoHMAC              // no trailer where one is demanded
	BadHMAC             // a trailer that is malformed or signed by another
	BadKey              // the trailer names a key that we do not have
	BadClock            // the sender's clock, or ours, is too far off
	Replayed            // an old packet again
	Verdicts            // how many verdicts there are
)

// String is the verdict's name in status and metrics.
func (v Verdict) String() string {
	names := [Verdicts]string{"accepted", "length", "version", "type", "checksum", "field", "interval", "ttl",
		"vrid", "auth", "own", "peer", "hmac_missing", "hmac", "hmac_key", "hmac_clock", "hmac_replay"}
	if v >= Verdicts {
		return "unknown"
	}
	return names[v]
}

// Multicast returns the group that VRRP speaks to in the family of a:
// 224.0.0.18 or ff02::12 (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
func Multicast(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{224, 0, 0, 18})
	}
	return netip.AddrFrom16([16]byte{0xff, 0x02, 15: 0x12})
}

// Datagram is a VRRP message with what the IP header said.
type Datagram struct {
	Src, Dst netip.Addr // without zone
	TTL      int        // or hop limit
	Payload  []byte
}

// Filter knows which datagrams a virtual router listens to.
type Filter struct {
	Version  uint8
	VRID     uint8
	Interval time.Duration // compared in version 2 only
	Auth     Auth
	Password Password
	Own      netip.Addr   // our primary address
	Peers    []netip.Addr // unicast peers; empty means multicast
	// Network is the link's, and MinTTL what a unicast peer's packets must have
	// left. Without MinTTL that is 255 on the own link over IPv4 and 1 elsewhere:
	// keepalived 2.2 sends its IPv6 unicast with a hop limit of 64.
	Network netip.Prefix
	MinTTL  int
}

// Accept applies the rules of RFC 9568, section 7.1. The VRID goes first,
// so that a neighbouring virtual router with other settings counts as just that.
func (f Filter) Accept(d Datagram) (Packet, Verdict) {
	if len(d.Payload) < headerLen {
		return Packet{}, BadLength
	}
	if d.Payload[1] != f.VRID {
		return Packet{}, OtherVRID
	}
	if d.Src == f.Own {
		return Packet{}, OwnAddress
	}
	if v := f.path(d); v != Accepted {
		return Packet{}, v
	}
	p, v := Parse(d.Payload, d.Src, d.Dst)
	switch {
	case v != Accepted:
		return Packet{}, v
	case p.Version != f.Version:
		return Packet{}, BadVersion
	case p.Version == 2:
		return p, f.version2(p)
	}
	return p, Accepted
}

// path judges where the datagram came from. The TTL proves that a multicast
// datagram was born on this link; a unicast peer may stand behind a router.
func (f Filter) path(d Datagram) Verdict {
	if len(f.Peers) > 0 {
		if !slices.Contains(f.Peers, d.Src) {
			return NotPeer
		}
		least := f.MinTTL
		if least == 0 && d.Src.Is4() && f.Network.Contains(d.Src) {
			least = ttl
		}
		if d.TTL < least {
			return BadTTL
		}
		return Accepted
	}
	if d.Dst != Multicast(d.Dst) {
		return NotPeer
	}
	if d.TTL != ttl {
		return BadTTL
	}
	return Accepted
}

func (f Filter) version2(p Packet) Verdict {
	if p.Auth != f.Auth {
		return BadAuth
	}
	if f.Auth == AuthPassword && subtle.ConstantTimeCompare(p.Password[:], f.Password[:]) == 0 {
		return BadAuth
	}
	if p.Interval != f.Interval {
		return BadInterval
	}
	return Accepted
}
