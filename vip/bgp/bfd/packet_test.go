package bfd

import (
	"encoding/hex"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	// As of RFC 5880, section 4.1: Up, poll, 3 times 300 ms.
	b, err := hex.DecodeString("20e003180000000100000002" + "000493e0000493e000000000")
	if err != nil {
		t.Fatal(err)
	}
	want := Packet{State: Up, Poll: true, Multiplier: 3, My: 1, Your: 2, MinTx: 300 * time.Millisecond, MinRx: 300 * time.Millisecond}
	if got, err := Parse(b); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := want.Append(nil); string(got) != string(b) {
		t.Errorf("appended %x", got)
	}
	for _, tt := range []struct {
		name  string
		spoil func([]byte) []byte
	}{
		{"short", func(b []byte) []byte { return b[:23] }},
		{"says that it is short", func(b []byte) []byte { b[3] = 23; return b }},
		{"says that it is longer", func(b []byte) []byte { b[3] = 25; return b }},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }},
		{"no multiplier", func(b []byte) []byte { b[2] = 0; return b }},
		{"no discriminator", func(b []byte) []byte { b[7] = 0; return b }},
		{"Up, and names no session", func(b []byte) []byte { b[11] = 0; return b }},
		{"authenticated", func(b []byte) []byte { b[1] |= 4; return b }},
		{"multipoint", func(b []byte) []byte { b[1] |= 1; return b }},
		{"poll and final", func(b []byte) []byte { b[1] |= 0x10; return b }},
	} {
		if p, err := Parse(tt.spoil(append([]byte(nil), b...))); err == nil {
			t.Errorf("%s: taken: %+v", tt.name, p)
		}
	}
}

// FuzzParse has what is taken come out as it went in.
func FuzzParse(f *testing.F) {
	f.Add(Packet{State: Down, Multiplier: 3, My: 1, MinTx: time.Second, MinRx: time.Second}.Append(nil))
	f.Add(Packet{Diagnostic: Expired, State: Up, Final: true, Multiplier: 255, My: 1, Your: 1<<32 - 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if q, err := Parse(p.Append(nil)); q != p || err != nil {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	})
}
