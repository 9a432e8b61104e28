package vip_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/bgp"
)

// announced is a group announced by BGP, with more in its [vip.bgp].
func announced(name, address, more string) string {
	return fmt.Sprintf("[[vip]]\nname = %q\nowner = \"bgp\"\naddresses = [%q]\n[vip.bgp]\n%s\n", name, address, more)
}

func TestParseBGP(t *testing.T) {
	c, faults := parse(t, announced("a", "192.0.2.1", `local_as = 64512
neighbors = [ { address = "10.0.0.1", as = 64513 } ]`)+announced("b", "2001:db8::1", `local_as = 64512
communities = ["64512:100", "no-export"]
med = 50
neighbors = [
  { address = "10.0.0.1", as = 64513 },
  { address = "2001:db8:0:1::2", as = 4200000000, port = 1179, password_file = "/good", bfd = true, bfd_interval = "50ms", bfd_multiplier = 5, hold_time = "30s" },
  { address = "10.1.0.1", as = 64512 },
  { address = "10.2.0.1", as = 64513, multihop_ttl = 4 },
]`))
	if faults != "" {
		t.Fatal(faults)
	}
	ip := netip.MustParseAddr
	plain := bgp.Neighbor{Address: ip("10.0.0.1"), AS: 64513, Port: 179, Hops: 1, HoldTime: 9 * time.Second}
	with := func(change func(*bgp.Neighbor)) bgp.Neighbor {
		n := plain
		change(&n)
		return n
	}
	want := []vip.BGP{
		{LocalAS: 64512, Restart: 30 * time.Second, Neighbors: []bgp.Neighbor{plain}},
		{LocalAS: 64512, Restart: 30 * time.Second, MED: 50, Communities: []uint32{64512<<16 | 100, 0xFFFFFF01}, Neighbors: []bgp.Neighbor{
			plain,
			{Address: ip("2001:db8:0:1::2"), AS: 4200000000, Port: 1179, Password: "s3cret", Hops: 1, HoldTime: 30 * time.Second,
				BFD: bgp.BFD{Interval: 50 * time.Millisecond, Multiplier: 5}},
			with(func(n *bgp.Neighbor) { n.Address, n.AS = ip("10.1.0.1"), 64512 }),
			with(func(n *bgp.Neighbor) { n.Address, n.Hops = ip("10.2.0.1"), 4 }),
		}},
	}
	for i, g := range c.Groups {
		if diff := cmp.Diff(want[i], g.BGP, cmpopts.EquateComparable(netip.Addr{}, bgp.Neighbor{})); diff != "" {
			t.Errorf("group %s: %s", g.Name, diff)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "s3cret") {
		t.Error("the configuration shows the password")
	}
}

func TestParseBGPFaults(t *testing.T) {
	one := func(neighbor string) string {
		return announced("a", "192.0.2.1", "local_as = 64512\nneighbors = [ { "+neighbor+" } ]")
	}
	const router = `neighbors = [ { address = "10.0.0.1", as = 1 } ]`
	tests := map[string]struct{ text, want string }{
		"nothing given": {announced("a", "192.0.2.1", ""), `vip[0].bgp.local_as: missing: allowed are 1 to 4294967294
vip[0].bgp.neighbors: missing: name the routers that are to hear of the addresses`},
		"scalars": {announced("a", "192.0.2.1", "local_as = 0\nrouter_id = \"::1\"\ngraceful_restart = \"1500ms\"\nmed = -1\ncommunities = [\"1:65536\", \"x\"]\n"+router),
			`vip[0].bgp.local_as: 0 is out of range: allowed are 1 to 4294967294
vip[0].bgp.graceful_restart: "1500ms" is not possible: allowed are whole seconds from 0s to 4095s
vip[0].bgp.med: -1 is out of range: allowed are 0 to 4294967295
vip[0].bgp.router_id: "::1" cannot identify a router: allowed are IPv4 addresses
vip[0].bgp.communities[0]: "1:65536" is no community: allowed are two numbers to 65535 ("64512:100") and names like "no-export"
vip[0].bgp.communities[1]: "x" is no community: allowed are two numbers to 65535 ("64512:100") and names like "no-export"`},
		"neighbor": {one(`address = "224.0.0.1", port = 0, hold_time = "2s"`), `vip[0].bgp.neighbors[0].as: missing: allowed are 1 to 4294967294
vip[0].bgp.neighbors[0].port: 0 is out of range: allowed are 1 to 65535
vip[0].bgp.neighbors[0].hold_time: "2s" is not possible: allowed are whole seconds from 3s to 65535s
vip[0].bgp.neighbors[0].address: "224.0.0.1" is no router: allowed are unicast addresses without zone`},
		"no password": {one(`address = "10.0.0.1", as = 1, password_file = "/none"`),
			`vip[0].bgp.neighbors[0].password_file: open /none: file does not exist`},
		"hops within the AS": {one(`address = "10.0.0.1", as = 64512, multihop_ttl = 2`),
			`vip[0].bgp.neighbors[0].multihop_ttl: has no effect on a router of the same AS, which may be any number of hops away: remove it`},
		"bfd keys without bfd": {one(`address = "10.0.0.1", as = 1, bfd_multiplier = 3`),
			`vip[0].bgp.neighbors[0].bfd: missing: bfd_interval and bfd_multiplier have no effect without bfd = true`},
		"bfd over routers": {one(`address = "10.0.0.1", as = 1, multihop_ttl = 2, bfd = true, bfd_interval = "1ms"`),
			`vip[0].bgp.neighbors[0].bfd: watches one link, and multihop_ttl = 2 says that the router is behind others: remove one of them
vip[0].bgp.neighbors[0].bfd_interval: "1ms" is no interval: allowed are durations from 10ms to 10s`},
		"the same router twice": {announced("a", "192.0.2.1", `local_as = 2
neighbors = [ { address = "10.0.0.1", as = 1 }, { address = "10.0.0.1", as = 3 } ]`),
			`vip[0].bgp.neighbors[1].address: 10.0.0.1 stands in this list already: a router has one session`},
		"groups that differ": {announced("a", "192.0.2.1", "local_as = 2\n"+router) +
			announced("b", "192.0.2.2", "local_as = 3\nrouter_id = \"10.0.0.9\"\ngraceful_restart = \"0s\"\n"+strings.Replace(router, "as = 1", "as = 9", 1)),
			`vip[1].bgp.local_as: differs from vip[0].bgp.local_as: all groups are announced by one speaker
vip[1].bgp.router_id: differs from vip[0].bgp.router_id: all groups are announced by one speaker
vip[1].bgp.graceful_restart: differs from vip[0].bgp.graceful_restart: all groups are announced by one speaker
vip[1].bgp.neighbors[0]: differs from vip[0].bgp.neighbors[0]: with 10.0.0.1 there is one session`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, faults := parse(t, tt.text); strings.TrimSpace(faults) != tt.want {
				t.Errorf("got\n%swant\n%s", faults, tt.want)
			}
		})
	}
}
