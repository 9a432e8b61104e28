package guard

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

func addrs(list string) map[netip.Addr]bool {
	set := map[netip.Addr]bool{}
	for _, a := range strings.Fields(list) {
		set[netip.MustParseAddr(a)] = true
	}
	return set
}

// neighbor reads "192.0.2.2 1 02".
func neighbor(text string) Neighbor {
	f := strings.Fields(text)
	return Neighbor{Addr: netip.MustParseAddr(f[0]), Link: int(f[1][0] - '0'), MAC: mac(f[2])}
}

func mac(last string) (m MAC) {
	if err := m.UnmarshalText([]byte("02:00:00:00:00:" + last)); err != nil {
		panic(err)
	}
	return m
}

func TestWant(t *testing.T) {
	type peers map[string]string // "ADDRESS MAC", and why it was left out
	tests := map[string]struct {
		change    func(*l4.Config)
		own       string // default: both families of the first server
		also      string
		neighbors []string
		gateways  []Gateway
		latest    string // who was known before

		macs  string
		left  peers
		off   bool // no table
		empty bool // and no peers
	}{
		"servers beside this one": {
			neighbors: []string{"192.0.2.2 1 02", "192.0.2.9 1 09", "2001:db8::2 1 02", "192.0.2.3 1 03"},
			macs:      "02 03",
			left:      peers{"192.0.2.2 02": "", "192.0.2.3 03": "", "2001:db8::2 02": ""},
		},
		"who speaks VRRP": {
			also:      "192.0.2.9 192.0.2.1",
			neighbors: []string{"192.0.2.9 1 09"},
			macs:      "09",
			left:      peers{"192.0.2.2 00": unknown, "192.0.2.3 00": unknown, "192.0.2.9 09": "", "2001:db8::2 00": unknown},
		},
		"one with two hardware addresses": {
			neighbors: []string{"192.0.2.2 1 02", "192.0.2.2 2 22"},
			macs:      "02 22",
			left:      peers{"192.0.2.2 02": "", "192.0.2.2 22": "", "192.0.2.3 00": unknown, "2001:db8::2 00": unknown},
		},
		"one that does not answer any more": {
			latest: "192.0.2.2 1 02",
			macs:   "02",
			left:   peers{"192.0.2.2 02": "", "192.0.2.3 00": unknown, "2001:db8::2 00": unknown},
		},
		"one that does not answer any more, but a router does": {
			latest:    "192.0.2.2 1 0e",
			neighbors: []string{"192.0.2.254 1 0e"},
			gateways:  []Gateway{{netip.MustParseAddr("192.0.2.254"), 1, true}},
			left:      peers{"192.0.2.2 0e": "192.0.2.254", "192.0.2.3 00": unknown, "2001:db8::2 00": unknown},
		},
		"a router that answers for all": {
			neighbors: []string{"192.0.2.2 1 0e", "192.0.2.3 1 0e", "192.0.2.254 1 0e", "2001:db8::2 1 02"},
			gateways:  []Gateway{{netip.MustParseAddr("192.0.2.254"), 1, false}},
			macs:      "02",
			left:      peers{"192.0.2.2 0e": "192.0.2.254", "192.0.2.3 0e": "192.0.2.254", "2001:db8::2 02": ""},
		},
		"a peer that leads everywhere": {
			neighbors: []string{"192.0.2.2 1 02", "192.0.2.3 1 03", "2001:db8::2 1 0e"},
			gateways:  []Gateway{{netip.MustParseAddr("192.0.2.2"), 1, true}},
			macs:      "03 0e",
			left:      peers{"192.0.2.2 02": "192.0.2.2", "192.0.2.3 03": "", "2001:db8::2 0e": ""},
		},
		"a peer that leads to its Pods": {
			neighbors: []string{"192.0.2.2 1 02", "192.0.2.3 1 03", "2001:db8::2 1 02", "fe80::2 1 02"},
			gateways:  []Gateway{{netip.MustParseAddr("192.0.2.2"), 1, false}, {netip.MustParseAddr("fe80::2"), 1, false}},
			macs:      "02 03",
			left:      peers{"192.0.2.2 02": "", "192.0.2.3 03": "", "2001:db8::2 02": ""},
		},
		"a gateway on another VLAN of a peer": {
			neighbors: []string{"192.0.2.2 1 02", "192.0.2.3 1 03", "2001:db8::2 1 02", "198.51.100.2 2 02"},
			gateways:  []Gateway{{netip.MustParseAddr("198.51.100.2"), 2, false}},
			macs:      "02 03",
			left:      peers{"192.0.2.2 02": "", "192.0.2.3 03": "", "2001:db8::2 02": ""},
		},
		"a pure director": {own: "192.0.2.8", empty: true},
		"switched off, XDP goes by the peers nonetheless": {
			change:    func(c *l4.Config) { c.Guard = false },
			neighbors: []string{"192.0.2.2 1 02"},
			left:      peers{"192.0.2.2 02": "", "192.0.2.3 00": unknown, "2001:db8::2 00": unknown},
			off:       true,
		},
		"by firewall mark": {change: func(c *l4.Config) { c.Services[0].Mark = 7 }, empty: true},
		"another way":      {change: func(c *l4.Config) { c.Services[0].Forward = l4.Tunnel }, empty: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := l4.Config{Guard: true, Services: []l4.Service{{
				Protocol: l4.TCP, Port: 443, Forward: l4.DirectRoute,
				Addrs: slices.SortedFunc(maps.Keys(addrs("192.0.2.100 2001:db8::100")), netip.Addr.Compare),
			}}}
			for a := range addrs("192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1 2001:db8::2") {
				cfg.Services[0].Servers = append(cfg.Services[0].Servers, l4.Server{Addr: netip.AddrPortFrom(a, 443)})
			}
			if tt.change != nil {
				tt.change(&cfg)
			}
			if tt.own == "" {
				tt.own = "192.0.2.1 2001:db8::1"
			}
			host := Host{Own: addrs(tt.own), Gateways: tt.gateways}
			for _, n := range tt.neighbors {
				host.Neighbors = append(host.Neighbors, neighbor(n))
			}
			latest := map[netip.Addr]Neighbor{}
			if tt.latest != "" {
				n := neighbor(tt.latest)
				latest[n.Addr] = n
			}
			also := slices.Collect(maps.Keys(addrs(tt.also)))

			table, found := want(cfg, also, host, latest)
			wanted := Table{Services: []Service{
				{l4.TCP, netip.MustParseAddrPort("192.0.2.100:443")},
				{l4.TCP, netip.MustParseAddrPort("[2001:db8::100]:443")},
			}}
			for _, m := range strings.Fields(tt.macs) {
				wanted.Peers = append(wanted.Peers, mac(m))
			}
			if tt.off || tt.empty {
				wanted = Table{}
			}
			if diff := cmp.Diff(wanted, table, comparable); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			got := peers{}
			for _, p := range found {
				got[p.Address.String()+" "+p.MAC.String()[15:]] = p.LeftOut
			}
			for k, why := range tt.left {
				if _, ok := got[k]; !ok || (got[k] == "") != (why == "") || !strings.Contains(got[k], why) {
					t.Errorf("%s: left out for %q, want %q", k, got[k], why)
				}
			}
			if len(got) != len(tt.left) {
				t.Errorf("peers %v", got)
			}
		})
	}
}

// TestServesOneFamily: a node that is a server for IPv4 alone guards IPv4 alone.
func TestServesOneFamily(t *testing.T) {
	cfg := config()
	table, _ := want(cfg, nil, Host{Own: addrs("192.0.2.1")}, nil)
	if len(table.Services) != 2 || !table.Services[0].Addr.Addr().Is4() || !table.Services[1].Addr.Addr().Is4() {
		t.Errorf("%v", table.Services)
	}
}

func TestDiff(t *testing.T) {
	services := []Service{
		{l4.TCP, netip.MustParseAddrPort("192.0.2.100:80")},
		{l4.TCP, netip.MustParseAddrPort("192.0.2.100:443")},
		{l4.UDP, netip.MustParseAddrPort("192.0.2.100:80")},
	}
	full := Table{Peers: []MAC{mac("02"), mac("03")}, Services: services}
	tests := map[string]struct {
		have State
		want Table
		is   Change
	}{
		"nothing to do": {State{full, true, true, 9}, full, Change{}},
		"first":         {State{}, full, Change{Create: true, Add: full}},
		"damaged":       {State{full, true, false, 0}, full, Change{Delete: true, Create: true, Add: full}},
		"needed no more": {
			State{full, true, true, 0}, Table{}, Change{Delete: true},
		},
		"never needed": {State{}, Table{}, Change{}},
		"members": {
			State{Table{Peers: []MAC{mac("02"), mac("04")}, Services: services[:2]}, true, true, 0},
			Table{Peers: []MAC{mac("02"), mac("03")}, Services: services[1:]},
			Change{
				Remove: Table{Peers: []MAC{mac("04")}, Services: services[:1]},
				Add:    Table{Peers: []MAC{mac("03")}, Services: services[2:]},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Diff(tt.have, tt.want)
			if diff := cmp.Diff(tt.is, got, comparable, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.None() != (name == "nothing to do" || name == "never needed") {
				t.Errorf("none: %v", got.None())
			}
		})
	}
}

// FuzzElement: whatever stands in the maps by another's hand is refused or is
// what we would have put there.
func FuzzElement(f *testing.F) {
	for _, s := range []Service{
		{l4.TCP, netip.MustParseAddrPort("192.0.2.100:80")},
		{l4.SCTP, netip.MustParseAddrPort("[2001:db8::100]:443")},
	} {
		e := s.element()
		f.Add(e.Key, e.Val)
	}
	f.Add([]byte{1, 2, 3}, []byte{})
	f.Fuzz(func(t *testing.T, key, val []byte) {
		s, ok := parseService(nftables.SetElement{Key: key, Val: val})
		if !ok {
			return
		}
		if again, ok := parseService(s.element()); !ok || again != s {
			t.Errorf("%v became %v", s, again)
		}
	})
}

// TestCure: what a kernel lacks is named, and what it refuses.
func TestCure(t *testing.T) {
	for errno, named := range map[error]string{
		unix.EOPNOTSUPP: "CONFIG_NF_TABLES", unix.EINVAL: "CONFIG_NF_TABLES", unix.EPERM: "CAP_NET_ADMIN", unix.ENOENT: "no such file",
	} {
		if err := cure(fmt.Errorf("receive: %w", errno)); !errors.Is(err, errno) || !strings.Contains(err.Error(), named) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if cure(nil) != nil || lacking(nil) {
		t.Error("nothing is an error")
	}
}
