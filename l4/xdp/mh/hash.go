package mh

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Each of the two keys of the kernel is one number for both words of the key
// (ip_vs_mh.c, generate_hash_secret).
const (
	first  uint64 = 2654435761
	second uint64 = 2654446892
)

// hash is H of the package comment.
func hash(key uint64, n uint32) uint32 { return hsiphash(n, key, key) }

// hsiphash is the kernel's hsiphash_1u32 on machines of 64 bits: SipHash with
// one round for the message and three at the end (lib/siphash.c).
func hsiphash(n uint32, k0, k1 uint64) uint32 {
	// The message is one block: its length in bytes at the top, n below.
	b := 4<<56 | uint64(n)
	v0, v1 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d
	v2, v3 := k0^0x6c7967656e657261, k1^0x7465646279746573^b
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v2 = v0^b, v2^0xff
	for range 3 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}

// round is SipRound (Aumasson and Bernstein, "SipHash: a fast short-input
// PRF", section 2.2).
func round(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0, v2 = v0+v1, v2+v3
	v1, v3 = bits.RotateLeft64(v1, 13)^v0, bits.RotateLeft64(v3, 16)^v2
	v0 = bits.RotateLeft64(v0, 32)
	v2, v0 = v2+v1, v0+v3
	v1, v3 = bits.RotateLeft64(v1, 17)^v2, bits.RotateLeft64(v3, 21)^v0
	return v0, v1, bits.RotateLeft64(v2, 32), v3
}

// sum is the number that is hashed for an address and a port.
func sum(a netip.Addr, port uint16) uint32 { return fold(a) + uint32(port) }

func fold(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	var n uint32
	b := a.As16()
	for i := 0; i < len(b); i += 4 {
		n ^= binary.BigEndian.Uint32(b[i:])
	}
	return n
}
