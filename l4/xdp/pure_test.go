package xdp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
)

func TestUnableWords(t *testing.T) {
	able := l4.VirtualService{
		Key: key80, Scheduler: "mh", Flags: l4.FlagFallback | l4.FlagPort,
		Destinations: []l4.Destination{{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Forward: l4.DirectRoute, Weight: 1}},
	}
	for want, change := range map[string]func(*l4.VirtualService){
		"":               func(*l4.VirtualService) {},
		"scheduler wlc":  func(v *l4.VirtualService) { v.Scheduler = "wlc" },
		"protocol sctp":  func(v *l4.VirtualService) { v.Key.Protocol = l4.SCTP },
		"firewall mark":  func(v *l4.VirtualService) { v.Key = l4.MarkKey(7, false) },
		"persistence":    func(v *l4.VirtualService) { v.Flags |= l4.FlagPersistent },
		"one_packet":     func(v *l4.VirtualService) { v.Flags |= l4.FlagOnePacket },
		"flags 0x20":     func(v *l4.VirtualService) { v.Flags |= 0x20 },
		"forward nat":    func(v *l4.VirtualService) { v.Destinations[0].Forward = l4.Masquerade },
		"forward tunnel": func(v *l4.VirtualService) { v.Destinations[0].Forward = l4.Tunnel },
		"thresholds":     func(v *l4.VirtualService) { v.Destinations[0].Upper = 10 },
	} {
		v := able
		v.Destinations = slices.Clone(able.Destinations)
		change(&v)
		if got := unable(v); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHops(t *testing.T) {
	a := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	h := Host{
		Routes: map[netip.Addr]Route{
			a("10.0.0.1"): {Link: 2, Via: a("10.0.0.1")},
			a("10.0.0.2"): {Link: 2, Via: a("10.0.0.2")},
			a("10.0.0.3"): {Local: true},
			a("10.0.0.4"): {Link: 2, Via: a("10.0.0.4")},
			a("10.0.0.5"): {Link: 2, Via: a("10.0.0.5")},
			a("10.9.0.1"): {Link: 2, Via: a("10.0.0.1")},
			a("10.7.0.1"): {Link: 7, Via: a("10.7.0.1")},
		},
		Neighbors: []Neighbor{
			{Link: 3, Addr: a("10.0.0.1"), MAC: mac(9), Valid: true},
			{Link: 2, Addr: a("10.0.0.1"), MAC: mac(1), Valid: true},
			{Link: 2, Addr: a("10.0.0.2"), MAC: mac(2), Valid: true, Stale: true},
			{Link: 2, Addr: a("10.0.0.4")}, // it has failed
			{Link: 7, Addr: a("10.7.0.1"), MAC: mac(7), Valid: true},
		},
		Links: map[int]Link{2: {Name: "eth0"}, 7: {Name: "eth0.7", Parent: 2, VLAN: 7}},
	}
	hops, unsure := h.hops(map[int]MAC{2: mac(100)})
	want := map[netip.Addr]Hop{
		a("10.0.0.1"): {Link: 2, MAC: mac(1)},
		a("10.0.0.2"): {Link: 2, MAC: mac(2)},
		a("10.0.0.3"): {Local: true},
		a("10.9.0.1"): {Link: 2, MAC: mac(1)},          // by a gateway, as IPVS does
		a("10.7.0.1"): {Link: 2, VLAN: 7, MAC: mac(7)}, // seen with its tag below
	}
	addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if d := cmp.Diff(want, hops, addrs); d != "" {
		t.Errorf("hops (-want +got):\n%s", d)
	}
	asked := []Neighbor{{Link: 2, Addr: a("10.0.0.2")}, {Link: 2, Addr: a("10.0.0.4")}, {Link: 2, Addr: a("10.0.0.5")}}
	if d := cmp.Diff(asked, unsure, addrs); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
	// Where the program runs on the VLAN itself, the frame has no tag there.
	hops, _ = h.hops(map[int]MAC{7: mac(100)})
	if got := hops[a("10.7.0.1")]; got != (Hop{Link: 7, MAC: mac(7)}) {
		t.Errorf("on the VLAN: %+v", got)
	}
}

func TestHopByGeneric(t *testing.T) {
	near, far, here := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.0.9")
	hops := map[netip.Addr]Hop{near: {Link: 2, MAC: mac(1)}, far: {Link: 3, MAC: mac(2)}, here: {Local: true}}
	both := map[int]MAC{2: mac(100), 3: mac(101)}
	for _, tt := range []struct {
		name    string
		generic map[int]bool
		far     Hop
	}{
		{"all native", nil, hops[far]},
		{"all generic", map[int]bool{2: true, 3: true}, hops[far]},
		{"a generic one beside a native one", map[int]bool{3: true}, Hop{}},
	} {
		w := World{Hops: hops, Interfaces: both, Generic: tt.generic}
		for a, want := range map[netip.Addr]Hop{near: hops[near], far: tt.far, here: {Local: true}} {
			if got := w.hop(a); got != want {
				t.Errorf("%s: %s %s, want %s", tt.name, a, got, want)
			}
		}
	}
}

func TestInterfaceOf(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.10")
	c := Config{Of: map[netip.Addr]string{vip: "eth0.7"}}
	if name, on := c.interfaceOf(vip, map[string]string{"eth0": Native}); name != "eth0.7" || on {
		t.Errorf("%s %v", name, on)
	}
	c.Interfaces = []string{"eth0"}
	if name, on := c.interfaceOf(vip, map[string]string{"eth0": Native}); name != "eth0" || !on {
		t.Errorf("named: %s %v", name, on)
	}
	if _, on := c.interfaceOf(vip, nil); on {
		t.Error("on without an interface")
	}
}

func TestRowsIn(t *testing.T) {
	for text, want := range map[string]int{
		"": 4093,
		"CONFIG_IP_VS_MH=m\nCONFIG_IP_VS_MH_TAB_INDEX=10\n": 1021,
		"CONFIG_IP_VS_MH_TAB_INDEX=99\n":                    4093,
		"# CONFIG_IP_VS_MH_TAB_INDEX is not set\n":          4093,
	} {
		if got := rowsIn(strings.NewReader(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// lines are as the kernel prints them.
var lines = []string{
	"Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
	"TCP AC1400C8 2711 AC140077 0007 AC140072 0007 ESTABLISHED     897",
	"UDP AC1400C8 2711 AC140077 0035 AC140072 0035 UDP             297",
	"TCP fd00:0020:0000:0000:0000:0000:0000:00c8 2711 fd00:0020:0000:0000:0000:0000:0000:0119 0050 fd00:0020:0000:0000:0000:0000:0000:0113 0050 ESTABLISHED     897",
	"SCTP AC1400C8 2711 AC140077 0007 AC140072 0007 ESTABLISHED     897",
	"TCP AC1400C8 2711 AC140077 0007 AC14007 0007 ESTABLISHED     897",
}

func TestParseConnection(t *testing.T) {
	want := []string{
		"",
		"tcp 172.20.0.119:7 172.20.0.200:10001 172.20.0.114:7",
		"udp 172.20.0.119:53 172.20.0.200:10001 172.20.0.114:53",
		"tcp [fd00:20::119]:80 [fd00:20::c8]:10001 [fd00:20::113]:80",
		"", "",
	}
	for i, line := range lines {
		got := ""
		if c, ok := ParseConnection(line); ok {
			got = c.Service.String() + " " + c.Client.String() + " " + c.Server.String()
		}
		if got != want[i] {
			t.Errorf("%q: %q, want %q", line, got, want[i])
		}
	}
}

func FuzzParseConnection(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := ParseConnection(line)
		if !ok {
			if c != (Connection{}) {
				t.Fatalf("%q: refused, and yet %+v", line, c)
			}
			return
		}
		for _, a := range []netip.AddrPort{c.Client, c.Server, c.Service.Addr} {
			if !a.IsValid() || a.Addr().Zone() != "" {
				t.Fatalf("%q: %+v", line, c)
			}
		}
	})
}
