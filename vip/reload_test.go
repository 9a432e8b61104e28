package vip_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/portico-lb/portico/vip"
)

// TestReload changes what it should and nothing else.
func TestReload(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	edge := section(150)
	other := vip.Section{Name: "other", Addresses: []string{"192.0.2.101"}, Owner: "static"}
	a.start(edge)
	a.eventually("Active", a.is("Active", vip4+"/32"))
	before := a.group()

	edge.VRRP.Priority, edge.Addresses = num(120), []string{vip4, "192.0.2.102/24"}
	a.configure(edge, other)
	a.eventually("reloaded", func() bool {
		return a.shows("eth0", "192.0.2.101/32") && a.shows("eth0", "192.0.2.102/24") && a.shows("lo", "192.0.2.102/32")
	})
	if g := a.group(); g.Transitions != before.Transitions || !g.Since.Equal(before.Since) || g.Sent < before.Sent {
		t.Errorf("the untouched router was disturbed: %+v, before %+v", g, before)
	}

	// Another router: same address, which stays up throughout.
	monitor := a.Start("ip", "-o", "monitor", "address")
	edge.VRRP.RouterID, edge.Addresses = num(52), []string{vip4}
	a.configure(edge)
	a.eventually("reloaded again", func() bool {
		return a.is("Active", vip4+"/32")() && len(a.status().Groups) == 1 && !a.shows("eth0", "192.0.2.101/32") && !a.shows("lo", "192.0.2.102/32")
	})
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("the address changed:\n%s", log)
	}
}

// TestForeignAndStale: what others put up stays; what an earlier process left,
// killed and with another configuration, goes; Flush undoes all.
func TestForeignAndStale(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.AddAddr("lo", "198.51.100.7/32")
	a.AddAddr("eth0", "198.51.100.8/32")
	a.Sysctl("net.ipv4.conf.all.arp_announce", "1")
	addresses := func() string { return a.Output("ip", "-4", "-o", "addr") } // the IPv6 link-local one comes when it pleases
	before := addresses()

	static := func(address string) vip.Section {
		return vip.Section{Name: "s", Addresses: []string{address}, Owner: "static"}
	}
	a.start(static("192.0.2.101"))
	a.eventually("owner", func() bool { return a.shows("eth0", "192.0.2.101/32") })
	a.proc.Kill()
	a.start(static("192.0.2.102"))
	a.eventually("owner of the other", func() bool { return a.shows("eth0", "192.0.2.102/32") && !a.shows("eth0", "192.0.2.101/32") })
	for _, address := range []string{"198.51.100.7/32", "198.51.100.8/32"} {
		if dev := map[string]string{"198.51.100.7/32": "lo", "198.51.100.8/32": "eth0"}[address]; !a.shows(dev, address) {
			t.Errorf("foreign %s is gone", address)
		}
	}
	for key, want := range map[string]string{"all/arp_ignore": "1", "all/arp_announce": "2", "eth0/arp_ignore": "1", "eth0/arp_announce": "2"} {
		if got := a.GetSysctl("net/ipv4/conf/" + key); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	if !a.shows("eth0", "192.0.2.102/32") {
		t.Error("a static address left with the process")
	}

	var err error
	a.Do(func() {
		err = vip.Flush(vip.Options{Log: slog.New(slog.DiscardHandler), StateDir: a.Dir() + "/state"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := addresses(); after != before {
		t.Errorf("after flush\n%s, before all\n%s", after, before)
	}
	for key, want := range map[string]string{"all/arp_ignore": "0", "all/arp_announce": "1", "eth0/arp_ignore": "0", "eth0/arp_announce": "0"} {
		if got := a.GetSysctl("net/ipv4/conf/" + key); got != want {
			t.Errorf("flushed %s = %s, want %s", key, got, want)
		}
	}
}

// TestSyncOrder: the services are brought in step when a new address is up
// already, and when an old one is not yet down.
func TestSyncOrder(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(a.Dir() + "/sync")
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Split(strings.TrimSuffix(string(b), "---\n"), "---\n")
	if len(seen) != 2 {
		t.Fatalf("%d calls, want 2:\n%s", len(seen), b)
	}
	for i, s := range seen {
		if !strings.Contains(s, "eth0    inet "+vip4+"/32") {
			t.Errorf("call %d without the address on eth0:\n%s", i, s)
		}
	}
}
