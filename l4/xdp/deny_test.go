package xdp

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

var network = netip.MustParsePrefix

func TestUntils(t *testing.T) {
	now := time.Unix(1e9, 0)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	const clock = 5000
	for name, tt := range map[string]struct {
		list map[string]time.Time
		want map[string]uint64
	}{
		"none":        {nil, map[string]uint64{}},
		"for ever":    {map[string]time.Time{"192.0.2.0/24": {}}, map[string]uint64{"192.0.2.0/24": 0}},
		"for a while": {map[string]time.Time{"192.0.2.0/24": in(time.Second)}, map[string]uint64{"192.0.2.0/24": 1e9 + clock}},
		"over":        {map[string]time.Time{"192.0.2.0/24": in(0), "2001:db8::/32": in(-1)}, map[string]uint64{}},
		"within one that goes on": {
			map[string]time.Time{"192.0.2.0/24": in(2), "192.0.2.7/32": in(1), "192.0.0.0/16": in(9), "0.0.0.0/0": in(3)},
			map[string]uint64{"192.0.2.0/24": 9 + clock, "192.0.2.7/32": 9 + clock, "192.0.0.0/16": 9 + clock, "0.0.0.0/0": 3 + clock},
		},
		"within one for ever": {map[string]time.Time{"2001:db8::/32": {}, "2001:db8::7/128": in(1)}, map[string]uint64{"2001:db8::/32": 0, "2001:db8::7/128": 0}},
		"over, within one that goes on": {map[string]time.Time{"192.0.2.0/24": in(2), "192.0.2.7/32": in(-1)},
			map[string]uint64{"192.0.2.0/24": 2 + clock, "192.0.2.7/32": 2 + clock}},
	} {
		list := map[netip.Prefix]time.Time{}
		for n, until := range tt.list {
			list[network(n)] = until
		}
		got := map[string]uint64{}
		for n, until := range untils(list, now, clock) {
			got[n.String()] = until
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestDiffDenied(t *testing.T) {
	second := uint64(time.Second)
	have := map[netip.Prefix]bpf.L4Denied{
		network("10.0.0.1/32"): {}, network("10.0.0.2/32"): {UntilNs: 5 * second}, network("10.0.0.3/32"): {UntilNs: 5 * second},
		network("10.0.0.4/32"): {UntilNs: 5 * second}, network("10.0.0.5/32"): {},
	}
	want := map[netip.Prefix]uint64{
		network("10.0.0.1/32"): 0, network("10.0.0.2/32"): 5*second + 1, network("10.0.0.3/32"): 4 * second,
		network("10.0.0.5/32"): 1, network("10.0.0.6/32"): 0,
	}
	put, del := diffDenied(have, want)
	if got := fmt.Sprint(put, del); got != "[10.0.0.3/32 10.0.0.5/32 10.0.0.6/32] [10.0.0.4/32]" {
		t.Error(got)
	}
}

func TestNetworkKeys(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "2000::/3", "2001:db8::/32", "2001:db8::7/128", "::1/128"} {
		if got := fromNetwork(toNetwork(network(s))); got.String() != s {
			t.Errorf("%s became %s", s, got)
		}
	}
}

func TestTune(t *testing.T) {
	for _, tt := range []struct {
		shield l4.Shield
		want   tunables
	}{
		{l4.Shield{}, tunables{}},
		{l4.Shield{NewFlows: 7}, tunables{newFlows: 7}},
		{l4.Shield{SYNRate: 50, SYNBurst: 1}, tunables{synInterval: 20 * time.Millisecond}},
		{l4.Shield{SYNRate: 1e6, SYNBurst: 1e6}, tunables{synInterval: time.Microsecond, synBurst: 999999 * time.Microsecond}},
	} {
		if got := tune(tt.shield); got != tt.want {
			t.Errorf("%+v: %+v, want %+v", tt.shield, got, tt.want)
		}
	}
}

// holdsDenied is what the program's list holds.
func (d *director) holdsDenied() string {
	return strings.Join(slices.Sorted(func(yield func(string) bool) {
		for n := range maps.Keys(d.Denied()) {
			yield(n.String())
		}
	}), " ")
}

// asks reports whether the program asks its list.
func (d *director) asks(t *testing.T) bool {
	t.Helper()
	var f bpf.L4Fence
	if err := d.life.open.Fence.Lookup(uint32(0), &f); err != nil {
		t.Fatal(err)
	}
	return f.Denying != 0
}

// TestShieldLives has the list outlive processes, and the limits change
// without a connection lost.
func TestShieldLives(t *testing.T) {
	d := newDirector(t)
	d.follow(t)
	if d.asks(t) {
		t.Error("an empty list is asked")
	}
	d.Deny(map[netip.Prefix]time.Time{network("192.0.2.0/24"): {}, network("2001:db8::/32"): time.Now().Add(time.Hour)})
	d.follow(t)
	if got := d.holdsDenied(); got != "192.0.2.0/24 2001:db8::/32" || !d.asks(t) {
		t.Errorf("denied %s, asked %v", got, d.asks(t))
	}
	key := toNetwork(network("192.0.2.0/24"))
	if err := d.life.open.L4Maps.Denied.Put(key, bpf.L4Denied{Packets: 7}); err != nil {
		t.Fatal(err)
	}
	flow := bpf.L4Flow4Key{Service: 1, Port: 7}
	if err := d.life.open.Flows4.Put(flow, bpf.L4Flow{Tenancy: 1<<backendBits | 1}); err != nil {
		t.Fatal(err)
	}
	link, _ := d.linkID(t)
	before, err := d.life.open.prog.Info()
	if err != nil {
		t.Fatal(err)
	}

	d.restart()
	d.Deny(map[netip.Prefix]time.Time{network("192.0.2.0/24"): time.Now().Add(time.Hour), network("198.51.100.0/24"): {}})
	d.mu.Lock()
	d.cfg.Shield = l4.Shield{SYNRate: 5, SYNBurst: 5}
	d.mu.Unlock()
	d.follow(t)
	if got := d.Denied(); len(got) != 2 || got[network("192.0.2.0/24")] != 7 {
		t.Errorf("denied %v", got)
	}
	first := d.life.open

	d.mu.Lock()
	d.cfg.Shield = l4.Shield{SYNRate: 50, SYNBurst: 5, NewFlows: 1000}
	d.mu.Unlock()
	d.follow(t)
	if d.life.open == first || d.life.open.tunables != tune(d.cfg.Shield) {
		t.Errorf("tunables %+v", d.life.open.tunables)
	}
	d.follow(t)
	after, err := d.life.open.prog.Info()
	if err != nil {
		t.Fatal(err)
	}
	if now, attached := d.linkID(t); now != link || !attached {
		t.Errorf("link %d was %d", now, link)
	}
	was, _ := before.ID()
	is, _ := after.ID()
	d.Do(func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		if runs := l.Attrs().Xdp.ProgId; runs != uint32(is) || was == is {
			t.Errorf("program %d runs, want %d, which was %d", runs, is, was)
		}
	})
	var found bpf.L4Flow
	if err := d.life.open.Flows4.Lookup(flow, &found); err != nil {
		t.Errorf("known connections are lost: %v", err)
	}
	if got := d.holdsDenied(); got != "192.0.2.0/24 198.51.100.0/24" {
		t.Errorf("denied %s", got)
	}
	d.Deny(nil)
	d.follow(t)
	if got := d.holdsDenied(); got != "" || d.asks(t) {
		t.Errorf("denied %s, asked %v", got, d.asks(t))
	}
	if err := d.Drops(); err != nil {
		t.Error(err)
	}
	d.configure(l4.ByIPVS, 1<<10)
	if err := d.Drops(); err == nil || !strings.HasPrefix(err.Error(), `it is XDP that drops packets, and dataplane = "ipvs" is without`) {
		t.Error(err)
	}
}
