package vip_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portico-lb/portico/vip"
)

// TestActiveActive has two groups on one interface, of which each node prefers
// one: each owns its own, and both when the other is gone.
func TestActiveActive(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	const vipB = "192.0.2.101"
	groups := func(first, second int) []vip.Section {
		preempt := func(s *vip.Section) { s.VRRP.Preempt = true }
		return []vip.Section{section(first, preempt), section(second, preempt, func(s *vip.Section) {
			s.Name, s.Addresses, s.VRRP.RouterID = "second", []string{vipB}, num(52)
		})}
	}
	owns := func(n *node, one, two bool) func() bool {
		return func() bool { return n.shows("eth0", vip4+"/32") == one && n.shows("eth0", vipB+"/32") == two }
	}
	a.start(groups(150, 100)...)
	a.eventually("owner of both", owns(a, true, true))
	b.start(groups(100, 150)...)
	b.eventually("owner of the second", owns(b, false, true))
	a.eventually("owner of the first", owns(a, true, false))
	a.eventually("hearing the other group's adverts", func() bool { return a.status().Groups[1].Received > 3 })
	if d := a.group().Dropped; len(d) != 0 {
		t.Errorf("dropped %v, but the other group's are no concern of this one", d)
	}
	b.proc.Kill()
	a.eventually("owner of both", owns(a, true, true))
}

// TestSyncGroupLinks moves the groups of two interfaces together, though the link of
// only one of them fails.
func TestSyncGroupLinks(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	wan := l.Network("wan")
	for i, n := range nodes {
		n.Attach(wan, "eth1", fmt.Sprintf("198.51.100.%d/24", i+1))
	}
	const outer = "198.51.100.100"
	groups := func(priority int) []vip.Section {
		in := func(s *vip.Section) { s.VRRP.SyncGroup = "both" }
		return []vip.Section{section(priority, in), section(priority, in, func(s *vip.Section) {
			s.Name, s.Interface, s.Addresses = "outer", "eth1", []string{outer}
		})}
	}
	owns := func(n *node, want bool) func() bool {
		return func() bool { return n.shows("eth0", vip4+"/32") == want && n.shows("eth1", outer+"/32") == want }
	}
	a.start(groups(150)...)
	a.eventually("owner of both", owns(a, true))
	b.start(groups(100)...)
	b.eventually("Backup that follows", func() bool { return b.group().Active == "192.0.2.1" })
	lan.Unplug(a.Node)
	took := b.eventually("owner of both", owns(b, true))
	a.eventually("owner of none", owns(a, false))
	t.Logf("both moved after %v", took)
	if g := a.status().Groups[1]; g.State != "Fault" || !strings.HasPrefix(g.Reason, "sync group both: group edge: ") {
		t.Errorf("the group of the sound link: %+v", g)
	}
	lan.Plug(a.Node)
	a.eventually("Backup", func() bool {
		gs := a.status().Groups
		return gs[0].State == "Backup" && gs[1].State == "Backup" && owns(a, false)()
	})
	if err := b.proc.Stop(); err != nil {
		t.Error(err)
	}
	a.eventually("owner of both", owns(a, true))
}
