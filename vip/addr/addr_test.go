package addr_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/vip/addr"
)

// found reads "192.0.2.1/32 dev lo", with "marked" or "unusable" behind it.
func found(t *testing.T, s string) addr.Found {
	t.Helper()
	f := strings.Fields(s)
	return addr.Found{Address: addr.Address{Prefix: netip.MustParsePrefix(f[0]), Link: f[2]}, Marked: slices.Contains(f, "marked"), Unusable: slices.Contains(f, "unusable")}
}

func group(owned bool, addrs ...string) addr.Group {
	g := addr.Group{Interface: "eth0", Owned: owned}
	for _, a := range addrs {
		g.Addrs = append(g.Addrs, netip.MustParsePrefix(a))
	}
	return g
}

func TestDiff(t *testing.T) {
	own := "10.0.0.1/24 dev eth0"
	owner, backup := group(true, "10.0.0.100/32"), group(false, "10.0.0.100/32")
	tests := []struct {
		name       string
		have       []string
		groups     []addr.Group
		remembered []string
		want       string
	}{
		{"owner from nothing", []string{own}, []addr.Group{owner}, nil, "add 10.0.0.100/32 dev eth0; add 10.0.0.100/32 dev lo"},
		{"backup from nothing", []string{own}, []addr.Group{backup}, nil, "add 10.0.0.100/32 dev lo"},
		{"owner again", []string{own, "10.0.0.100/32 dev lo marked", "10.0.0.100/32 dev eth0 marked"}, []addr.Group{owner}, nil, ""},
		{"released", []string{own, "10.0.0.100/32 dev lo marked", "10.0.0.100/32 dev eth0 marked"}, []addr.Group{backup}, nil, "del 10.0.0.100/32 dev eth0"},
		{"lo before the interface lets go", []string{"10.0.0.100/32 dev eth0 marked"}, []addr.Group{backup}, nil,
			"add 10.0.0.100/32 dev lo; del 10.0.0.100/32 dev eth0"},
		{"put up by hand", []string{"10.0.0.100/24 dev eth0"}, []addr.Group{backup}, nil,
			"add 10.0.0.100/32 dev lo; del 10.0.0.100/24 dev eth0"},
		{"on a foreign interface", []string{"10.0.0.100/32 dev dummy0"}, []addr.Group{backup}, nil, "add 10.0.0.100/32 dev lo"},
		{"marked from an earlier configuration", []string{own, "10.0.0.99/32 dev lo marked", "10.0.0.99/32 dev eth1 marked"}, nil, nil,
			"del 10.0.0.99/32 dev eth1; del 10.0.0.99/32 dev lo"},
		{"remembered from an earlier configuration", []string{own, "10.0.0.99/32 dev lo", "10.0.0.98/32 dev lo"}, nil, []string{"10.0.0.99/32 dev lo"},
			"del 10.0.0.99/32 dev lo"},
		{"foreign addresses", []string{own, "10.0.0.98/32 dev lo", "127.0.0.1/8 dev lo"}, nil, nil, ""},
		{"network length on the interface only", nil, []addr.Group{group(true, "10.0.0.100/24")}, nil, "add 10.0.0.100/24 dev eth0; add 10.0.0.100/32 dev lo"},
		{"IPv6 changes its length", []string{"2001:db8::1/64 dev eth0 marked", "2001:db8::1/128 dev lo marked"}, []addr.Group{group(true, "2001:db8::1/128")}, nil,
			"del 2001:db8::1/64 dev eth0; add 2001:db8::1/128 dev eth0"},
		{"IPv6 failed its duplicate address detection", []string{"2001:db8::1/128 dev eth0 unusable", "2001:db8::1/128 dev lo marked"}, []addr.Group{group(true, "2001:db8::1/128")}, nil,
			"del 2001:db8::1/128 dev eth0; add 2001:db8::1/128 dev eth0"},
		{"foreign IPv6 failed", []string{"2001:db8::2/64 dev eth0 unusable"}, nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var have []addr.Found
			for _, s := range tt.have {
				have = append(have, found(t, s))
			}
			var remembered []addr.Address
			for _, s := range tt.remembered {
				remembered = append(remembered, found(t, s).Address)
			}
			var got []string
			for _, op := range addr.Diff(have, addr.Want(tt.groups), addr.Ours(tt.groups, remembered)) {
				got = append(got, op.String())
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// TestDiffRandom applies the ops to a set and compares with what must come
// out: everything wanted, everything foreign, nothing else; and no IPv4
// address that stays on the host is gone in between.
func TestDiffRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() addr.Address {
		return addr.Address{Link: []string{"lo", "eth0", "eth1"}[rnd.IntN(3)], Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/%d", rnd.IntN(4), 24+8*rnd.IntN(2)))}
	}
	for range 5000 {
		var have []addr.Found
		var want []addr.Address
		for range rnd.IntN(8) {
			if a := random(); !slices.ContainsFunc(have, func(f addr.Found) bool { return f.Address == a }) {
				have = append(have, addr.Found{Address: a, Marked: rnd.IntN(2) == 0})
			}
			if a := random(); !slices.Contains(want, a) {
				want = append(want, a)
			}
		}
		set, must := map[addr.Address]bool{}, map[addr.Address]bool{}
		for _, f := range have {
			set[f.Address] = true
			must[f.Address] = !f.Marked || slices.Contains(want, f.Address)
		}
		for _, a := range want {
			must[a] = true
		}
		ops := addr.Diff(have, want, func(f addr.Found) bool { return f.Marked })
		for _, op := range ops {
			if set[op.Address] == op.Add {
				t.Fatalf("have %v want %v: nonsense op %v in %v", have, want, op, ops)
			}
			set[op.Address] = op.Add
			for _, w := range want {
				ip := w.Prefix.Addr()
				was := slices.ContainsFunc(have, func(f addr.Found) bool { return f.Prefix.Addr() == ip })
				if was && !anywhere(set, ip) {
					t.Fatalf("have %v want %v: %v is gone after %v of %v", have, want, ip, op, ops)
				}
			}
		}
		for a, on := range set {
			if on != must[a] {
				t.Fatalf("have %v want %v: %v is %v after %v", have, want, a, on, ops)
			}
		}
	}
}

func anywhere(set map[addr.Address]bool, ip netip.Addr) bool {
	for a, on := range set {
		if on && a.Prefix.Addr() == ip {
			return true
		}
	}
	return false
}

func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "vip.json")
	m, err := addr.Recall(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := found(t, "10.0.0.1/32 dev lo").Address, found(t, "2001:db8::1/64 dev eth0").Address
	s := addr.Sysctl{Name: "net/ipv4/conf/all/arp_ignore", Value: "0"}
	for _, err := range []error{
		m.Note([]addr.Address{a, b, a}, []addr.Sysctl{s}),
		m.Note(nil, []addr.Sysctl{{Name: s.Name, Value: "7"}}), // the oldest value stays
		m.Forget(func(x addr.Address) bool { return x == b }, func(addr.Sysctl) bool { return true }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := addr.Recall(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]addr.Address{b}, n.Addresses(), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]addr.Sysctl{s}, n.Sysctls()); diff != "" {
		t.Error(diff)
	}
}
