package vip_test

import (
	"syscall"
	"testing"

	"github.com/portico-lb/portico/vip"
)

func num(n int) *int { return &n }

// section is a group of the VIP 192.0.2.100 with adverts every 100 ms.
func section(priority int, change ...func(*vip.Section)) vip.Section {
	s := vip.Section{Name: "edge", Addresses: []string{"192.0.2.100"},
		VRRP: vip.VRRPSection{RouterID: num(51), Priority: num(priority), AdvertInterval: "100ms"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// TestTakeOver follows one address through stop, kill and link loss.
func TestTakeOver(t *testing.T) {
	seg := newSegment(t)
	a, b := seg.node(), seg.node()
	a.start(section(150))
	a.eventually("Active", func() bool { return a.state() == "Active" && a.has("eth0", "192.0.2.100/32") })
	b.start(section(100))
	if !b.has("lo", "192.0.2.100/32") || b.has("eth0", "192.0.2.100/32") {
		t.Errorf("Backup's addresses:\n%s", b.ip("-o addr"))
	}

	a.stop(syscall.SIGTERM)
	t.Logf("clean stop: Backup has the address after %v", b.eventually("owner", func() bool { return b.has("eth0", "192.0.2.100/32") }))
	if a.has("eth0", "192.0.2.100/32") || !a.has("lo", "192.0.2.100/32") {
		t.Errorf("addresses after the stop:\n%s", a.ip("-o addr"))
	}

	a.start(section(150))
	a.eventually("following", func() bool { return a.status().Groups[0].Received > 10 })
	if a.state() != "Backup" {
		t.Errorf("without preempt the first node is %s again", a.state())
	}

	b.stop(syscall.SIGKILL)
	t.Logf("kill: Backup has the address after %v", a.eventually("owner", func() bool { return a.has("eth0", "192.0.2.100/32") }))

	b.start(section(100))
	b.eventually("released", func() bool { return !b.has("eth0", "192.0.2.100/32") && b.state() == "Backup" })
	sh(t, "ip -n %s-sw link set %s down", seg.name, a.port)
	t.Logf("link loss: Backup has the address after %v", b.eventually("owner", func() bool { return b.has("eth0", "192.0.2.100/32") }))
	a.eventually("Initialize", func() bool { return a.state() == "Initialize" && !a.has("eth0", "192.0.2.100/32") })
	sh(t, "ip -n %s-sw link set %s up", seg.name, a.port)
	a.eventually("Backup", func() bool { return a.state() == "Backup" && a.status().Groups[0].Received > 20 })
}
