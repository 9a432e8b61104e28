package vrrp_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

func keys(t testing.TB, ids ...uint8) vrrp.HMAC {
	t.Helper()
	h := vrrp.HMAC{Active: ids[0], Window: 5 * time.Second}
	for _, id := range ids {
		secret := make([]byte, 32)
		for i := range secret {
			secret[i] = byte(i) + id - 1
		}
		k, ok := vrrp.NewKey(id, secret)
		if !ok {
			t.Fatal("key refused")
		}
		h.Keys = append(h.Keys, k)
	}
	return h
}

// vectors are the examples of draft-cassen-vrrp-auth-hmac: key 00 to 1f with
// id 1, priority 200, sequence 6800000080000000.
var vectors = []struct {
	src, dst netip.Addr
	vip      netip.Addr
	hex      string
}{
	{ip("198.51.100.10"), group4, ip("192.0.2.100"),
		"3133c80100644402c0000264010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265"},
	{ip("fe80::10"), ip("fe80::20"), ip("fe80::100"),
		"3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000" + "c8c56146ebfd66ee10ec4d8186461b78"},
}

// then is the time of their sequence.
var then = time.Unix(0x68000000, 500_000_000)

func TestHMACVectors(t *testing.T) {
	for _, v := range vectors {
		want, _ := hex.DecodeString(v.hex)
		p := vrrp.Packet{Version: 3, VRID: 51, Priority: 200, Interval: time.Second, Addrs: []netip.Addr{v.vip}, PlainChecksum: true}
		new(vrrp.Guard).Sign(keys(t, 1), &p, v.src, then)
		if got := p.Append(nil, v.src, v.dst); !bytes.Equal(got, want) {
			t.Errorf("sent\n %x, want\n %x", got, want)
		}
		q, verdict := vrrp.Parse(want, v.src, v.dst)
		if verdict != vrrp.Accepted || !q.Equal(p) {
			t.Errorf("parsed as %+v (%v), want %+v", q, verdict, p)
		}
		if verdict := new(vrrp.Guard).Check(keys(t, 1), q, v.src, then, 0); verdict != vrrp.Accepted {
			t.Errorf("%v: %v", v.src, verdict)
		}
	}
}

func TestHMACCheck(t *testing.T) {
	v := vectors[1]
	b, _ := hex.DecodeString(v.hex)
	good, _ := vrrp.Parse(b, v.src, v.dst)
	h := keys(t, 1)
	mode := func(m vrrp.HMACMode) vrrp.HMAC { h := h; h.Mode = m; return h }
	bare := good
	bare.Trailer = vrrp.Trailer{}
	tests := []struct {
		name   string
		h      vrrp.HMAC
		change func(p *vrrp.Packet)
		src    netip.Addr
		at     time.Time
		want   vrrp.Verdict
	}{
		{"good", h, func(*vrrp.Packet) {}, v.src, then, vrrp.Accepted},
		{"edge of the window", h, func(*vrrp.Packet) {}, v.src, then.Add(5 * time.Second), vrrp.Accepted},
		{"late", h, func(*vrrp.Packet) {}, v.src, then.Add(6 * time.Second), vrrp.BadClock},
		{"from the future", h, func(*vrrp.Packet) {}, v.src, then.Add(-6 * time.Second), vrrp.BadClock},
		{"other sender", h, func(*vrrp.Packet) {}, ip("fe80::20"), then, vrrp.BadHMAC},
		{"priority", h, func(p *vrrp.Packet) { p.Priority++ }, v.src, then, vrrp.BadHMAC},
		{"router", h, func(p *vrrp.Packet) { p.VRID++ }, v.src, then, vrrp.BadHMAC},
		{"interval", h, func(p *vrrp.Packet) { p.Interval *= 2 }, v.src, then, vrrp.BadHMAC},
		{"address", h, func(p *vrrp.Packet) { p.Addrs = []netip.Addr{ip("fe80::101")} }, v.src, then, vrrp.BadHMAC},
		{"sequence", h, func(p *vrrp.Packet) { p.Trailer.Sequence++ }, v.src, then, vrrp.BadHMAC},
		{"reserved", h, func(p *vrrp.Packet) { p.Trailer.Reserved = 1 }, v.src, then, vrrp.BadHMAC},
		{"type", h, func(p *vrrp.Packet) { p.Trailer.Type = 2 }, v.src, then, vrrp.BadHMAC},
		{"key", h, func(p *vrrp.Packet) { p.Trailer.KeyID = 2 }, v.src, then, vrrp.BadKey},
		{"other key", keys(t, 2, 1), func(p *vrrp.Packet) { p.Trailer.KeyID = 2 }, v.src, then, vrrp.BadHMAC},
		{"second key", keys(t, 2, 1), func(*vrrp.Packet) {}, v.src, then, vrrp.Accepted},
		{"none", h, func(p *vrrp.Packet) { *p = bare }, v.src, then, vrrp.NoHMAC},
		{"none, permissive", mode(vrrp.HMACPermissive), func(p *vrrp.Packet) { *p = bare }, v.src, then, vrrp.Accepted},
		{"none, receive-only", mode(vrrp.HMACReceiveOnly), func(p *vrrp.Packet) { *p = bare }, v.src, then, vrrp.Accepted},
		{"forged, permissive", mode(vrrp.HMACPermissive), func(p *vrrp.Packet) { p.Priority++ }, v.src, then, vrrp.BadHMAC},
		{"not configured", vrrp.HMAC{}, func(p *vrrp.Packet) { p.Priority++ }, v.src, then, vrrp.Accepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			tt.change(&p)
			if got := new(vrrp.Guard).Check(tt.h, p, tt.src, tt.at, 0); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestHMACReplay: each sender's sequence grows; a clock that was set back is
// forgiven once the old mark is out of the window.
func TestHMACReplay(t *testing.T) {
	h := keys(t, 1)
	var us vrrp.Guard
	send := func(g *vrrp.Guard, src netip.Addr, now time.Time) vrrp.Packet {
		p := vrrp.Packet{Version: 3, VRID: 51, Priority: 200, Interval: time.Second, Addrs: []netip.Addr{ip("192.0.2.100")}}
		g.Sign(h, &p, src, now)
		return p
	}
	check := func(what string, p vrrp.Packet, src netip.Addr, now time.Time, want vrrp.Verdict) {
		t.Helper()
		if got := us.Check(h, p, src, now, 0); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	var g vrrp.Guard
	first, second, third := send(&g, b4, then), send(&g, b4, then), send(&g, b4, then.Add(-time.Second))
	check("first", first, b4, then, vrrp.Accepted)
	check("first again", first, b4, then, vrrp.Replayed)
	check("third, of an earlier clock", third, b4, then, vrrp.Accepted)
	check("second after third", second, b4, then, vrrp.Replayed)
	ahead := send(&g, b4, then.Add(time.Hour))
	check("an hour ahead", ahead, b4, then.Add(time.Hour), vrrp.Accepted)
	check("set back", send(&g, b4, then), b4, then, vrrp.Accepted)

	// Four others push the first one out, but only by valid packets.
	forged := first
	for i := range 8 {
		forged.Trailer.HMAC[0]++
		check("forged", forged, ip(fmt.Sprintf("192.0.2.2%d", i)), then, vrrp.BadHMAC)
	}
	late := send(&g, b4, then.Add(time.Second))
	check("late", late, b4, then, vrrp.Accepted)
	for i := range 3 {
		src := ip(fmt.Sprintf("192.0.2.1%d", i))
		check("other", send(&vrrp.Guard{}, src, then), src, then, vrrp.Accepted)
	}
	check("three senders later", late, b4, then, vrrp.Replayed)
}

func TestKeyHidden(t *testing.T) {
	secret := []byte("correct horse battery staple, correct horse")
	k, _ := vrrp.NewKey(1, secret)
	h := vrrp.HMAC{Keys: []vrrp.Key{k}}
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(f, h); strings.Contains(s, "horse") || strings.Contains(s, hex.EncodeToString(secret[:4])) {
			t.Errorf("%s shows the key: %s", f, s)
		}
	}
	for n, want := range map[int]bool{31: false, 32: true, 64: true, 65: false} {
		if _, ok := vrrp.NewKey(1, make([]byte, n)); ok != want {
			t.Errorf("key of %d bytes: %v", n, ok)
		}
	}
}
