package vip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/bgp"
)

// TestRouting follows one group through what may happen to it.
func TestRouting(t *testing.T) {
	start := time.Unix(1000, 0)
	type at struct {
		seconds  float64
		in       routed
		stopping bool
		want     string
	}
	tests := map[string][]at{
		"waits for the first results": {
			{0, routed{pending: true}, false, "Initialize owned, next 5"},
			{1, routed{pending: true, heard: 1}, false, "Initialize owned, next 5"},
			{2, routed{}, false, "Backup announced owned"},
			{3, routed{heard: 1}, false, "Active announced owned"},
			{4, routed{heard: 1, pending: true}, false, "Active announced owned"}, // a new rule is no reason to withdraw
		},
		"does not wait for ever": {
			{0, routed{pending: true}, false, "Initialize owned, next 5"},
			{5, routed{pending: true}, false, "Backup announced owned"},
		},
		"a fault from the start on": {
			{0, routed{fault: "l7: 503"}, false, "Fault"},
			{9, routed{}, false, "Backup announced owned"},
		},
		"serves on after a withdrawal": {
			{0, routed{heard: 2}, false, "Active announced owned"},
			{10, routed{heard: 2, fault: "l7: 503"}, false, "Fault owned, next 11"},
			{10.5, routed{heard: 2, fault: "l7: refused"}, false, "Fault owned, next 11"},
			{11, routed{heard: 2, fault: "l7: refused"}, false, "Fault"},
			{12, routed{heard: 2}, false, "Active announced owned"},
		},
		"is mended before it was given up": {
			{0, routed{heard: 2}, false, "Active announced owned"},
			{1, routed{heard: 2, fault: "x"}, false, "Fault owned, next 2"},
			{1.5, routed{heard: 2}, false, "Active announced owned"},
			{9, routed{heard: 2, fault: "x"}, false, "Fault owned, next 10"},
		},
		"stops": {
			{0, routed{heard: 1}, false, "Active announced owned"},
			{5, routed{heard: 1}, true, "Initialize owned, next 6"},
			{6, routed{heard: 1}, true, "Initialize"},
		},
		"stops before it began": {
			{0, routed{pending: true}, false, "Initialize owned, next 5"},
			{1, routed{pending: true}, true, "Initialize"},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			x := &routing{started: start}
			for _, s := range steps {
				out := x.step(start.Add(time.Duration(s.seconds*float64(time.Second))), s.in, s.stopping)
				got := out.state.String()
				if out.announced {
					got += " announced"
				}
				if out.owned {
					got += " owned"
				}
				if !out.next.IsZero() {
					got += fmt.Sprintf(", next %v", out.next.Sub(start).Seconds())
				}
				if got != s.want {
					t.Errorf("after %v s: %s, want %s", s.seconds, got, s.want)
				}
			}
		})
	}
}

// TestCompose shows who hears of which address, and by which next hop.
func TestCompose(t *testing.T) {
	neighbor := func(a string) bgp.Neighbor { return bgp.Neighbor{Address: netip.MustParseAddr(a), AS: 1} }
	r4, s4, r6 := neighbor("10.0.0.1"), neighbor("10.0.0.2"), neighbor("fd00::1")
	group := func(iface string, addresses []string, neighbors ...bgp.Neighbor) sayable {
		g := Group{Name: iface, Interface: iface, Owner: OwnerBGP, BGP: BGP{LocalAS: 64512, Neighbors: neighbors}}
		for _, a := range addresses {
			g.Addresses = append(g.Addresses, netip.MustParsePrefix(a))
		}
		return sayable{g, true}
	}
	have := addr.State{}
	for _, a := range []struct{ link, prefix string }{
		{"lo", "127.0.0.1/8"}, {"lo", "198.51.100.1/32"}, {"eth0", "fe80::5/64"}, {"eth0", "198.51.100.2/32"},
		{"eth0", "10.0.0.5/24"}, {"eth0", "fd00::5/64"}, {"eth1", "fe80::6/64"},
	} {
		have.Addrs = append(have.Addrs, addr.Found{Address: addr.Address{Link: a.link, Prefix: netip.MustParsePrefix(a.prefix)}, Marked: a.prefix == "198.51.100.2/32"})
	}
	both := []string{"198.51.100.1/32", "2001:db8::1/64"}
	tests := map[string]struct {
		groups []sayable
		id     string
		want   string
	}{
		"each family to its own": {[]sayable{group("eth0", both, r4, r6)}, "", `10.0.0.5
198.51.100.1/32 to [10.0.0.1]
2001:db8::1/128 to [fd00::1]`},
		"both to the only one": {[]sayable{group("eth0", both, r4, s4)}, "10.9.9.9", `10.9.9.9
198.51.100.1/32 to [10.0.0.1 10.0.0.2]
2001:db8::1/128 via fd00::5 to [10.0.0.1 10.0.0.2]`},
		"what was put up for clients is nobody's own": {[]sayable{group("eth0", []string{"198.51.100.1/32", "198.51.100.2/32"}, r6)}, "", `10.0.0.5
198.51.100.1/32 via 10.0.0.5 to [fd00::1]
198.51.100.2/32 via 10.0.0.5 to [fd00::1]`},
		"no next hop": {[]sayable{group("eth1", both, r4)}, "10.9.9.9", `10.9.9.9
198.51.100.1/32 to [10.0.0.1]
fault 0: bgp: announce 2001:db8::1: eth1 has no address of its family to be the next hop: give it one, or name a neighbor of that family`},
		"no router ID": {[]sayable{group("eth1", both, r6)}, "", `invalid IP
fault 0: bgp: eth1 has no IPv4 address to be known by among routers: set router_id`},
		"two groups": {[]sayable{group("eth0", both[:1], r4, s4), group("eth1", []string{"198.51.100.9/32"}, s4)}, "", `10.0.0.5
198.51.100.1/32 to [10.0.0.1 10.0.0.2]
198.51.100.9/32 to [10.0.0.2]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var id netip.Addr
			if tt.id != "" {
				id = netip.MustParseAddr(tt.id)
			}
			c, faults := compose(tt.groups, have, id)
			var got strings.Builder
			fmt.Fprintln(&got, c.RouterID)
			for _, r := range c.Routes {
				via := ""
				if r.NextHop.IsValid() {
					via = fmt.Sprintf(" via %v", r.NextHop)
				}
				fmt.Fprintf(&got, "%v%s to %v\n", r.Prefix, via, r.To)
			}
			for i, err := range faults {
				if err != nil {
					fmt.Fprintf(&got, "fault %d: %v\n", i, err)
				}
			}
			if strings.TrimSpace(got.String()) != tt.want {
				t.Errorf("got\n%swant\n%s", got.String(), tt.want)
			}
		})
	}
}
