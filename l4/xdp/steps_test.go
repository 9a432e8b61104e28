package xdp

import (
	"net/netip"
	"testing"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

// A step is a wanted state, what is known of the link, and what the maps then
// hold. The steps are applied one after another to the same maps.
type step struct {
	name, want string
	hops       map[string]Hop
	interfaces map[int]MAC
	peers      []MAC
	holds      string
}

// mac is 02:00:00:00:00:n.
func mac(n byte) MAC { return MAC{2, 0, 0, 0, 0, n} }

func (s step) world() World {
	w := World{Hops: map[netip.Addr]Hop{}, Interfaces: s.interfaces, Peers: s.peers, Rows: 251}
	for a, h := range s.hops {
		w.Hops[netip.MustParseAddr(a)] = h
	}
	return w
}

func state(t *testing.T, text string) l4.State {
	t.Helper()
	return l4test.Parse(t, text)
}

var (
	eth0  = map[int]MAC{2: mac(100)}
	three = map[string]Hop{
		"10.0.0.1": {Link: 2, MAC: mac(1)}, "10.0.0.2": {Link: 2, MAC: mac(2)}, "10.0.0.3": {Local: true},
		"2001:db8::1": {Link: 2, MAC: mac(1)},
	}
)

var steps = []step{
	{"nothing", "", nil, nil, nil, "\n"},
	{"a service", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 2
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, three, eth0, []MAC{mac(1)}, `
1 tcp 192.0.2.10:80 fallback port
  1 10.0.0.1:80 weight 1 base 1 generation 1 at 02:00:00:00:00:01 on 2
  2 10.0.0.2:80 weight 2 base 2 generation 2 at 02:00:00:00:00:02 on 2
  3 10.0.0.3:80 weight 1 base 1 generation 3 local
interface 2 02:00:00:00:00:64
peer 02:00:00:00:00:01
`},
	{"a server fails and keeps its rows, another moves", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, map[string]Hop{"10.0.0.1": {Link: 2, MAC: mac(9)}, "10.0.0.2": {Link: 2}, "10.0.0.3": {Local: true}}, eth0, nil, `
1 tcp 192.0.2.10:80 fallback port
  1 10.0.0.1:80 weight 1 base 1 generation 1 at 02:00:00:00:00:09 on 2
  2 10.0.0.2:80 weight 0 base 2 generation 2 unresolved
  3 10.0.0.3:80 weight 1 base 1 generation 3 local
interface 2 02:00:00:00:00:64
`},
	{"a service of IPv6 and one of UDP come, a server goes", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
-A -t [2001:db8::10]:80 -s mh
-a -t [2001:db8::10]:80 -r [2001:db8::1]:80 -g -w 1
-A -u 192.0.2.10:53 -s mh -b mh-port
-a -u 192.0.2.10:53 -r 10.0.0.1:53 -g -w 1
`, three, eth0, nil, `
1 tcp 192.0.2.10:80 fallback port
  1 10.0.0.1:80 weight 1 base 1 generation 1 at 02:00:00:00:00:01 on 2
  3 10.0.0.3:80 weight 1 base 1 generation 3 local
2 tcp [2001:db8::10]:80
  4 [2001:db8::1]:80 weight 1 base 1 generation 4 at 02:00:00:00:00:01 on 2
3 udp 192.0.2.10:53 port
  5 10.0.0.1:53 weight 1 base 1 generation 5 at 02:00:00:00:00:01 on 2
interface 2 02:00:00:00:00:64
`},
	{"the first id is given out anew, to somebody else", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, three, eth0, nil, `
1 tcp 192.0.2.10:80 fallback port
  2 10.0.0.2:80 weight 1 base 1 generation 6 at 02:00:00:00:00:02 on 2
  3 10.0.0.3:80 weight 1 base 1 generation 3 local
interface 2 02:00:00:00:00:64
`},
	{"the address goes to another node", "", three, eth0, nil, `
interface 2 02:00:00:00:00:64
`},
	{"and comes back, by another interface, tagged", `
-A -t 192.0.2.10:80 -s mh
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
`, map[string]Hop{"10.0.0.1": {Link: 3, VLAN: 7, MAC: mac(1)}, "10.0.0.2": {Link: 2, MAC: mac(2)}}, map[int]MAC{3: mac(101)}, nil, `
1 tcp 192.0.2.10:80
  1 10.0.0.2:80 weight 1 base 1 generation 7 unresolved
  2 10.0.0.1:80 weight 1 base 1 generation 8 at 02:00:00:00:00:01 on 3 vlan 7
interface 3 02:00:00:00:00:65
`},
}
