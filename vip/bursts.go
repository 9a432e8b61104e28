package vip

import (
	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/announce"
	"github.com/portico-lb/portico/vip/vrrp"
)

// rules reports whether this node says of the group's addresses that they are
// here. While it only adopts them it is silent: another may have them, or is
// about to.
func (v view) rules() bool { return v.owned && v.state == vrrp.Active }

// withdraw stops announcing the groups that are no longer ours. It comes first
// in a round: what follows may take time, in which a successor announces itself.
func (k *keeper) withdraw(routers []*router) {
	ours := map[string]bool{}
	for _, r := range routers {
		if g, v := r.read(); v.rules() && k.announced[g.Name] == r {
			ours[g.Name] = true
		}
	}
	k.m.announcer.Keep(func(name string) bool { return ours[name] })
}

// announce has the groups announced whose services stand: those of owned,
// unless they were lost meanwhile.
func (k *keeper) announce(routers []*router, owned map[string]bool, links map[string]addr.Link) {
	var groups []announce.Group
	k.announced = map[string]*router{}
	for _, r := range routers {
		g, v := r.read()
		if !owned[g.Name] || !v.rules() {
			continue
		}
		l := links[g.Interface]
		groups = append(groups, announce.Group{
			Name: g.Name, Interface: g.Interface, Addrs: g.addrs(), Index: l.Index, MAC: l.MAC, Up: l.Up,
			Acquired: v.acquired, Disputed: v.disputed, Moved: k.moves(g.Interface),
		})
		k.announced[g.Name] = r
	}
	k.m.announcer.Set(groups)
}
