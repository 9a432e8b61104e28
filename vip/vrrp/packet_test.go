package vrrp_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portico-lb/portico/vip/vrrp"
)

var (
	ip       = netip.MustParseAddr
	a4, b4   = ip("192.0.2.1"), ip("192.0.2.2")
	a6       = ip("fe80::1")
	group4   = ip("224.0.0.18")
	group6   = ip("ff02::12")
	addrCmp  = cmpopts.EquateComparable(netip.Addr{})
	password = vrrp.Password([]byte("s3cret\x00\x00"))
)

// captured returns the datagrams of a file in testdata.
func captured(t testing.TB, name string) []vrrp.Datagram {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var ds []vrrp.Datagram
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		var d vrrp.Datagram
		var src, dst []byte
		if b[0]>>4 == 4 {
			d.TTL, src, dst, d.Payload = int(b[8]), b[12:16], b[16:20], b[20:]
		} else {
			d.TTL, src, dst, d.Payload = int(b[7]), b[8:24], b[24:40], b[40:]
		}
		d.Src, _ = netip.AddrFromSlice(src)
		d.Dst, _ = netip.AddrFromSlice(dst)
		ds = append(ds, d)
	}
	return ds
}

// TestKeepalived reads what keepalived sent and writes the very same bytes.
func TestKeepalived(t *testing.T) {
	two := []netip.Addr{ip("192.0.2.100"), ip("192.0.2.101")}
	base := vrrp.Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addrs: two}
	tests := map[string]func(p *vrrp.Packet){
		"v2pass":    func(p *vrrp.Packet) { p.Version, p.Auth, p.Password = 2, vrrp.AuthPassword, password },
		"v3":        func(*vrrp.Packet) {},
		"v3unicast": func(p *vrrp.Packet) { p.Addrs = two[:1] },
		"v3v6":      func(p *vrrp.Packet) { p.Addrs = []netip.Addr{ip("fe80::100"), ip("2001:db8::100")} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			ds := captured(t, "keepalived-2.2.7-"+name)
			for i, priority := range []uint8{150, 0} {
				want := base
				change(&want)
				want.Priority = priority
				d := ds[i]
				got, v := vrrp.Parse(d.Payload, d.Src, d.Dst)
				if v != vrrp.Accepted {
					t.Fatalf("%x: %v", d.Payload, v)
				}
				if diff := cmp.Diff(want, got, addrCmp); diff != "" {
					t.Error(diff)
				}
				if b := want.Append(nil, d.Src, d.Dst); !bytes.Equal(b, d.Payload) {
					t.Errorf("append\n got %x\nwant %x", b, d.Payload)
				}
			}
		})
	}
}

// TestChecksumForms takes version 3 over IPv4 with and without the pseudo-header.
func TestChecksumForms(t *testing.T) {
	with := captured(t, "keepalived-2.2.7-v3")[0]
	without := bytes.Clone(with.Payload)
	// The same message summed as version 2 does: the difference is the pseudo-header.
	copy(without[6:8], []byte{0, 0})
	var sum uint32
	for i := 0; i < len(without); i += 2 {
		sum += uint32(without[i])<<8 | uint32(without[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	without[6], without[7] = byte(sum>>8), byte(sum)
	if bytes.Equal(without, with.Payload) {
		t.Fatal("both forms are the same: nothing tested")
	}
	for name, b := range map[string][]byte{"with": with.Payload, "without": without} {
		if _, v := vrrp.Parse(b, with.Src, with.Dst); v != vrrp.Accepted {
			t.Errorf("%s pseudo-header: %v", name, v)
		}
	}
	if _, v := vrrp.Parse(with.Payload, b4, with.Dst); v != vrrp.BadChecksum {
		t.Errorf("pseudo-header of another source: %v", v)
	}
}

func TestFilter(t *testing.T) {
	v3 := vrrp.Packet{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addrs: []netip.Addr{ip("192.0.2.100")}}
	v2 := v3
	v2.Version, v2.Auth, v2.Password = 2, vrrp.AuthPassword, password
	f3 := vrrp.Filter{Version: 3, VRID: 51, Interval: time.Second, Own: a4}
	f2 := vrrp.Filter{Version: 2, VRID: 51, Interval: time.Second, Own: a4, Auth: vrrp.AuthPassword, Password: password}
	unicast := f3
	unicast.Peers = []netip.Addr{b4}
	onLink, strict := unicast, unicast
	onLink.Network = netip.MustParsePrefix("192.0.2.0/24")
	strict.MinTTL = 254

	send := func(p vrrp.Packet, src, dst netip.Addr, change ...func(*vrrp.Datagram)) vrrp.Datagram {
		d := vrrp.Datagram{Src: src, Dst: dst, TTL: 255, Payload: p.Append(nil, src, dst)}
		for _, c := range change {
			c(&d)
		}
		return d
	}
	with := func(p vrrp.Packet, change func(*vrrp.Packet)) vrrp.Packet { change(&p); return p }
	ttl := func(n int) func(*vrrp.Datagram) { return func(d *vrrp.Datagram) { d.TTL = n } }
	set := func(at int, b byte) func(*vrrp.Datagram) { return func(d *vrrp.Datagram) { d.Payload[at] = b } }
	cut := func(n int) func(*vrrp.Datagram) { return func(d *vrrp.Datagram) { d.Payload = d.Payload[:n] } }

	tests := []struct {
		name string
		f    vrrp.Filter
		d    vrrp.Datagram
		want vrrp.Verdict
	}{
		{"v3", f3, send(v3, b4, group4), vrrp.Accepted},
		{"v3 with trailing bytes", f3, send(v3, b4, group4, func(d *vrrp.Datagram) { d.Payload = append(d.Payload, 1, 2, 3) }), vrrp.Accepted},
		{"v3 other interval", f3, send(with(v3, func(p *vrrp.Packet) { p.Interval = 10 * time.Millisecond }), b4, group4), vrrp.Accepted},
		{"v2", f2, send(v2, b4, group4), vrrp.Accepted},
		{"unicast through a router", unicast, send(v3, b4, a4, ttl(60)), vrrp.Accepted},
		{"unicast on the link", onLink, send(v3, b4, a4), vrrp.Accepted},
		{"unicast on the link, routed", onLink, send(v3, b4, a4, ttl(254)), vrrp.BadTTL},
		{"unicast over one router", strict, send(v3, b4, a4, ttl(254)), vrrp.Accepted},
		{"unicast over two routers", strict, send(v3, b4, a4, ttl(253)), vrrp.BadTTL},
		{"empty", f3, vrrp.Datagram{Src: b4, Dst: group4, TTL: 255}, vrrp.BadLength},
		{"header only", f3, send(v3, b4, group4, cut(8)), vrrp.BadLength},
		{"one byte short", f3, send(v3, b4, group4, cut(11)), vrrp.BadLength},
		{"v2 without authentication data", f2, send(v2, b4, group4, cut(12)), vrrp.BadLength},
		{"count too high", f3, send(v3, b4, group4, set(3, 2)), vrrp.BadLength},
		{"v1", f3, send(v3, b4, group4, set(0, 0x11)), vrrp.BadVersion},
		{"v2 for v3", f3, send(v2, b4, group4), vrrp.BadVersion},
		{"v3 for v2", f2, send(v3, b4, group4), vrrp.BadVersion},
		{"type 2", f3, send(v3, b4, group4, set(0, 0x32)), vrrp.BadType},
		{"flipped bit", f3, send(v3, b4, group4, set(2, 101)), vrrp.BadChecksum},
		{"no address", f3, send(with(v3, func(p *vrrp.Packet) { p.Addrs = nil }), b4, group4), vrrp.BadField},
		{"no interval", f3, send(with(v3, func(p *vrrp.Packet) { p.Interval = 0 }), b4, group4), vrrp.BadInterval},
		{"v2 other interval", f2, send(with(v2, func(p *vrrp.Packet) { p.Interval = 2 * time.Second }), b4, group4), vrrp.BadInterval},
		{"routed", f3, send(v3, b4, group4, ttl(254)), vrrp.BadTTL},
		{"other router", f3, send(with(v3, func(p *vrrp.Packet) { p.VRID = 52 }), b4, group4), vrrp.OtherVRID},
		{"other password", f2, send(with(v2, func(p *vrrp.Packet) { p.Password[0] = 'S' }), b4, group4), vrrp.BadAuth},
		{"no password", f2, send(with(v2, func(p *vrrp.Packet) { p.Auth, p.Password = vrrp.AuthNone, vrrp.Password{} }), b4, group4), vrrp.BadAuth},
		{"own", f3, send(v3, a4, group4), vrrp.OwnAddress},
		{"unicast on multicast", f3, send(v3, b4, a4), vrrp.NotPeer},
		{"stranger", unicast, send(v3, ip("192.0.2.3"), a4), vrrp.NotPeer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, v := tt.f.Accept(tt.d); v != tt.want {
				t.Errorf("got %v, want %v", v, tt.want)
			}
		})
	}
}

// TestVerdictNames keeps the list of names as long as that of verdicts.
func TestVerdictNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range vrrp.Verdicts {
		if n := v.String(); n == "" || seen[n] {
			t.Errorf("verdict %d: name %q is empty or taken", v, n)
		} else {
			seen[n] = true
		}
	}
}

func TestPasswordHidden(t *testing.T) {
	p := vrrp.Packet{Password: password}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(f, p); strings.Contains(s, "s3c") || strings.Contains(s, "115") {
			t.Errorf("%s shows the password: %s", f, s)
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, name := range []string{"v2pass", "v3", "v3unicast", "v3v6"} {
		for _, d := range captured(f, "keepalived-2.2.7-"+name) {
			f.Add(d.Payload, d.Src.Is6())
		}
	}
	for _, v := range vectors {
		b, _ := hex.DecodeString(v.hex)
		f.Add(b, v.src.Is6())
	}
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		src, dst := b4, group4
		if six {
			src, dst = a6, group6
		}
		p, v := vrrp.Parse(b, src, dst)
		if v == vrrp.BadChecksum {
			// Let the fuzzer through to the fields behind the checksum.
			b = bytes.Clone(b)
			repair(b, src, dst)
			p, v = vrrp.Parse(b, src, dst)
		}
		if v == vrrp.BadChecksum {
			t.Fatalf("%x: repaired checksum refused", b)
		}
		if v != vrrp.Accepted {
			return
		}
		q, v := vrrp.Parse(p.Append(nil, src, dst), src, dst)
		if v != vrrp.Accepted || !q.Equal(p) {
			t.Fatalf("%x: %v became %v (%v)", b, p, q, v)
		}
	})
}

// repair writes the checksum over the message that b's header describes.
func repair(b []byte, src, dst netip.Addr) {
	size := src.BitLen() / 8
	n := 8 + int(b[3])*size
	var words []byte
	if b[0]>>4 == 2 {
		n += 8
	} else {
		words = slices.Concat(src.AsSlice(), dst.AsSlice(), []byte{0, vrrp.Protocol, byte(n >> 8), byte(n)})
	}
	b[6], b[7] = 0, 0
	words = append(words, b[:n]...)
	var sum uint32
	for i := 0; i < len(words); i += 2 {
		sum += uint32(words[i])<<8 | uint32(words[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	b[6], b[7] = byte(^sum>>8), byte(^sum)
}
