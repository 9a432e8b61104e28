package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// The trailer of draft-cassen-vrrp-auth-hmac, as keepalived has it from 2.4.2
// on: type, key id, two zero bytes, a sequence of eight bytes (seconds since
// 1970, 1/65536 seconds, a counter), half a SHA-256 HMAC.
const (
	trailerLen  = 28
	hmacLen     = 16
	hmacAt      = trailerLen - hmacLen
	trailerType = 1 // HMAC-SHA256, 128 bits
	keyLeast    = 32
	keyMost     = 64
	// replaySlots is how many senders are remembered where any may speak.
	replaySlots = 4
)

// Trailer authenticates a packet of version 3. The zero value is none.
type Trailer struct {
	Type, KeyID uint8
	Reserved    uint16
	Sequence    uint64
	HMAC        [hmacLen]byte
}

func (t Trailer) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, t.Type, t.KeyID), t.Reserved)
	return append(binary.BigEndian.AppendUint64(b, t.Sequence), t.HMAC[:]...)
}

func parseTrailer(b []byte) Trailer {
	return Trailer{Type: b[0], KeyID: b[1], Reserved: binary.BigEndian.Uint16(b[2:]),
		Sequence: binary.BigEndian.Uint64(b[4:]), HMAC: [hmacLen]byte(b[hmacAt:])}
}

// Key is a secret of 32 to 64 bytes that all routers share. It prints as a
// placeholder.
type Key struct {
	ID     uint8
	secret string
}

// NewKey returns the key; false when the secret is too short or too long.
func NewKey(id uint8, secret []byte) (Key, bool) {
	return Key{id, string(secret)}, len(secret) >= keyLeast && len(secret) <= keyMost
}

func (Key) String() string { return "(hidden)" }

// GoString hides the key from %#v too.
func (Key) GoString() string { return "(hidden)" }

// sum is the HMAC of p as it leaves src, with the trailer t. The pseudo-header
// ties it to family, version, virtual router and sender; the checksum counts
// as zero, because over IPv6 it covers the trailer.
func (k Key) sum(p Packet, src netip.Addr, t Trailer) (out [hmacLen]byte) {
	pseudo := make([]byte, 20)
	pseudo[0], pseudo[1], pseudo[2] = 4, p.Version, p.VRID
	if src.Is6() {
		pseudo[0] = 6
	}
	copy(pseudo[4:], src.AsSlice())
	t.HMAC = [hmacLen]byte{}
	h := hmac.New(sha256.New, []byte(k.secret))
	h.Write(pseudo)
	h.Write(t.append(p.message(nil)))
	copy(out[:], h.Sum(nil))
	return out
}

// HMACMode says what is sent and demanded.
type HMACMode uint8

// The modes. To introduce keys on a running cluster, all routers go from
// HMACReceiveOnly to HMACPermissive to HMACEnforce.
const (
	HMACEnforce     HMACMode = iota // sign; drop what carries no trailer
	HMACPermissive                  // sign; take what carries no trailer
	HMACReceiveOnly                 // do not sign; take what carries no trailer
)

// HMAC is how packets are authenticated. The zero value is: not at all.
type HMAC struct {
	Keys   []Key
	Active uint8 // id of the key that signs
	Mode   HMACMode
	Window time.Duration // how far a sender's clock may be off ours
}

func (h HMAC) key(id uint8) (Key, bool) {
	i := slices.IndexFunc(h.Keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return Key{}, false
	}
	return h.Keys[i], true
}

// Guard signs packets, and judges those received by their trailer. It
// remembers what it sent and who sent what, so that nothing can be replayed.
type Guard struct {
	sent    uint64
	senders []sender // the latest last
}

type sender struct {
	addr     netip.Addr
	sequence uint64
}

// Sign adds the trailer to a packet that leaves from src now.
func (g *Guard) Sign(h HMAC, p *Packet, src netip.Addr, now time.Time) {
	key, ok := h.key(h.Active)
	if !ok || h.Mode == HMACReceiveOnly {
		return
	}
	clock := sequence(now)
	// After the clock was set back the old sequence would be out of every window.
	if after(clock, g.sent) || time.Duration(int32(g.sent>>32-clock>>32))*time.Second > h.Window {
		g.sent = clock
	} else {
		g.sent++
	}
	p.Trailer = Trailer{Type: trailerType, KeyID: key.ID, Sequence: g.sent}
	p.Trailer.HMAC = key.sum(*p, src, p.Trailer)
}

// Check judges a packet received from src now. Only what the key's holder sent
// is remembered, so that forgers cannot fill the memory. peers is how many
// unicast peers there are, each of which has a place in it.
func (g *Guard) Check(h HMAC, p Packet, src netip.Addr, now time.Time, peers int) Verdict {
	t := p.Trailer
	switch {
	case len(h.Keys) == 0:
		return Accepted
	case t == Trailer{}:
		if h.Mode == HMACEnforce {
			return NoHMAC
		}
		return Accepted
	case t.Type != trailerType || t.Reserved != 0:
		return BadHMAC
	case outside(now, t.Sequence, h.Window):
		return BadClock // before the costly sum, lest a flood of old packets keep us busy
	}
	key, ok := h.key(t.KeyID)
	if !ok {
		return BadKey
	}
	if sum := key.sum(p, src, t); !hmac.Equal(sum[:], t.HMAC[:]) {
		return BadHMAC
	}
	i := slices.IndexFunc(g.senders, func(s sender) bool { return s.addr == src })
	if i >= 0 {
		// A sender whose clock was far ahead, and was set right, starts anew.
		if last := g.senders[i].sequence; !outside(now, last, h.Window) && !after(t.Sequence, last) {
			return Replayed
		}
		g.senders = slices.Delete(g.senders, i, i+1)
	}
	if slots := max(peers, replaySlots); len(g.senders) >= slots {
		g.senders = slices.Delete(g.senders, 0, len(g.senders)-slots+1)
	}
	g.senders = append(g.senders, sender{src, t.Sequence})
	return Accepted
}

// sequence is the time in the trailer's form, with the counter at zero.
func sequence(t time.Time) uint64 {
	return uint64(uint32(t.Unix()))<<32 | uint64(t.Nanosecond())<<16/1e9<<16
}

// after compares sequences as RFC 1982 does, across their wrap.
func after(a, b uint64) bool { return int64(a-b) > 0 }

func outside(now time.Time, sequence uint64, window time.Duration) bool {
	off := time.Duration(int32(uint32(now.Unix())-uint32(sequence>>32))) * time.Second
	return off > window || off < -window
}
