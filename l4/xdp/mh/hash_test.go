package mh

import (
	"net/netip"
	"testing"
)

// The kernel tests itself with these (lib/test_siphash.c): the key is the
// bytes from 0 up, and so is the message. Of the vectors by length, only that
// of four bytes is a message that mh hashes.
func TestHashOfReference(t *testing.T) {
	if got, want := hsiphash(0x03020100, 0x0706050403020100, 0x0f0e0d0c0b0a0908), uint32(0x88d38328); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}

func TestFold(t *testing.T) {
	for addr, want := range map[string]uint32{
		"0.0.0.0":           0,
		"10.0.0.1":          0x0a000001,
		"255.255.255.255":   0xffffffff,
		"2001:db8::1":       0x20010db8 ^ 1,
		"1:2:3:4:5:6:7:8":   0x00010002 ^ 0x00030004 ^ 0x00050006 ^ 0x00070008,
		"::ffff:10.0.0.1":   0xffff ^ 0x0a000001,
		"fe80::1%interface": 0xfe800000 ^ 1,
	} {
		if got := fold(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %#x, want %#x", addr, got, want)
		}
	}
	if got := sum(netip.MustParseAddr("255.255.255.255"), 2); got != 1 {
		t.Errorf("a sum that is too large: %#x, want 1", got)
	}
}
