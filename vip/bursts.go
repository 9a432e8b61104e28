package vip

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/announce"
	"github.com/portico-lb/portico/vip/neighbor"
	"github.com/portico-lb/portico/vip/probe"
	"github.com/portico-lb/portico/vip/vrrp"
)

// rules reports whether this node tells its link that the group's addresses
// are here. While it only adopts them it is silent: another may have them, or
// is about to. To addresses that routers find (BGP) the link has no part.
func rules(g Group, v view) bool { return v.owned && v.state == vrrp.Active && g.Owner != OwnerBGP }

// sure reports whether the router may say that the addresses are here: an
// Active that was silent for so long that the others may have replaced it (see
// vrrp.Machine) has to listen first.
func (r *router) sure() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rules(r.cfg, r.view) && (r.cfg.Owner != OwnerVRRP || sinceBoot()-r.spoke < 3*r.cfg.VRRP.AdvertInterval)
}

// announce has the groups announced whose services stand: those of owned,
// unless they were lost meanwhile.
func (k *keeper) announce(routers []*router, owned map[string]bool, have addr.State) {
	k.announced = map[*router]announce.Group{}
	for _, r := range routers {
		g, v := r.read()
		if !owned[g.Name] {
			continue
		}
		l := have.Links[g.Interface]
		k.announced[r] = announce.Group{
			Name: g.Name, Interface: g.Interface, Addrs: g.addrs(), Index: l.Index, MAC: l.MAC, Up: l.Up,
			Acquired: v.acquired, Disputed: v.disputed, Moved: k.moves(g.Interface), Sure: r.sure,
		}
	}
	k.insist(routers)
}

// insist has announced what is announced already, but for the groups that are
// no longer ours, and again what other hosts have claimed. It comes first in a
// round too: what follows may take time, in which a successor announces itself.
func (k *keeper) insist(routers []*router) {
	var groups []announce.Group
	for _, r := range routers {
		a, ok := k.announced[r]
		if g, v := r.read(); !ok || !rules(g, v) {
			delete(k.announced, r)
			continue
		}
		a.Contested = k.m.prober.Contested(a.Addrs)
		groups = append(groups, a)
	}
	maps.DeleteFunc(k.announced, func(r *router, _ announce.Group) bool { return !slices.Contains(routers, r) })
	k.m.announcer.Set(groups)
}

// observe has the links watched for other owners.
func (k *keeper) observe(routers []*router, have addr.State) {
	own := map[neighbor.MAC]bool{}
	for _, l := range have.Links {
		own[l.MAC] = true
	}
	var groups []probe.Group
	for _, r := range routers {
		g, v := r.read()
		if g.Owner == OwnerBGP {
			continue
		}
		_, virtual, l := r.config()
		groups = append(groups, probe.Group{
			Interface: g.Interface, Addrs: g.addrs(), Owned: rules(g, v), Index: l.Index, MAC: l.MAC, Up: l.Up,
			Source: asker(have.Addrs, g.Interface, virtual),
		})
	}
	k.m.prober.Set(groups, own)
}

// asker is the interface's own IPv6 address to ask neighbours from, a
// link-local one first.
func asker(have []addr.Found, iface string, virtual []netip.Addr) (source netip.Addr) {
	for _, f := range have {
		ip := f.Prefix.Addr()
		if f.Link != iface || !ip.Is6() || slices.Contains(virtual, ip) {
			continue
		}
		if ip.IsLinkLocalUnicast() {
			return ip
		}
		source = ip
	}
	return source
}
