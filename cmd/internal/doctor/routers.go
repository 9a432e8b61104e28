package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

// A heard advert is what another host said on an interface.
type heard struct {
	iface  string
	source netip.Addr
	packet vrrp.Packet
	// broken says that its checksum is wrong, or its length.
	broken bool
}

// checkRouters: what is said by VRRP on the links is ours.
func checkRouters(ctx context.Context, n *Node) []Finding {
	var groups []vip.Group
	wait := time.Second
	for _, g := range n.Config.VIP.Groups {
		if g.Owner == vip.OwnerVRRP {
			groups = append(groups, g)
			wait = max(wait, g.VRRP.AdvertInterval)
		}
	}
	if len(groups) == 0 {
		return skip(`VRRP is not spoken: no [[vip]] with owner = "vrrp" in ` + n.ConfigPath)
	}
	var counted []vip.GroupStatus
	if n.Director != nil && n.Director.VIP != nil {
		counted = n.Director.VIP.Groups
	}
	if os.Geteuid() != 0 {
		told := slices.DeleteFunc(judgeRouters(groups, nil, counted), func(f Finding) bool { return f.Verdict == OK })
		return append(told, skipped("only root may listen for the adverts of others"))
	}
	wait = wait*7/2 + 200*time.Millisecond // three adverts, and what is late
	n.progress(fmt.Sprintf("listening for VRRP for %v", wait.Round(100*time.Millisecond)))
	adverts, err := listenVRRP(ctx, n.interfaces(), wait)
	out := judgeRouters(groups, adverts, counted)
	if err != nil {
		out = append(out, skipped(err.Error()))
	}
	return out
}

// judgeRouters compares what was heard with what is configured, and tells
// what a running director could not accept.
func judgeRouters(groups []vip.Group, adverts []heard, counted []vip.GroupStatus) []Finding {
	var out []Finding
	told := map[string]bool{}
	add := func(f Finding) {
		if !told[f.Found] {
			told[f.Found] = true
			out = append(out, f)
		}
	}
	for _, a := range adverts {
		for _, g := range groups {
			if g.Interface == a.iface && g.VRRP.RouterID == int(a.packet.VRID) && g.Addresses[0].Addr().Is4() == a.source.Unmap().Is4() {
				if f, bad := judgeAdvert(g, a); bad {
					add(f)
				}
			}
		}
	}
	for _, g := range counted {
		for _, d := range g.Duplicates {
			if g.Owned {
				add(fail(fmt.Sprintf("%s of group %s is also claimed by %s", d.Address, g.Name, d.MAC), "clients reach one host or the other", "ip neigh | grep -i "+d.MAC.String()))
			}
		}
		for _, reason := range []string{"auth", "hmac", "hmac_key", "hmac_clock", "hmac_missing", "version", "interval", "checksum", "ttl", "peer"} {
			if c := g.Dropped[reason]; c > 0 && len(adverts) == 0 {
				add(warn(fmt.Sprintf("group %s has dropped %d adverts since its start: %s", g.Name, c, reason), "two nodes that do not understand each other both own the address", "tcpdump -c 5 -nvi "+g.Interface+" 'ip proto 112 or ip6 proto 112'"))
			}
		}
	}
	return orOK(out, fmt.Sprintf("%d adverts heard, none against ours", len(adverts)))
}

// judgeAdvert judges one with the router id of a group.
func judgeAdvert(g vip.Group, a heard) (Finding, bool) {
	id := fmt.Sprintf("%s on %s says router id %d", a.source, a.iface, a.packet.VRID)
	var ours []netip.Addr
	for _, p := range g.Addresses {
		if p.Addr().Is4() == a.source.Unmap().Is4() {
			ours = append(ours, p.Addr())
		}
	}
	theirs := slices.Clone(a.packet.Addrs)
	slices.SortFunc(ours, netip.Addr.Compare)
	slices.SortFunc(theirs, netip.Addr.Compare)
	cure := "editor /etc/portico/portico.toml"
	switch {
	case a.broken:
		return fail(id+" with a checksum that is neither of the two in use", "it is not heard, and both own the address", "tcpdump -c 5 -nvi "+a.iface+" src "+a.source.String()), true
	case !slices.ContainsFunc(theirs, func(x netip.Addr) bool { return slices.Contains(ours, x) }):
		return fail(fmt.Sprintf("%s too, for %v: another pair of routers", id, theirs), "each takes the other for its peer, and one of the addresses has no owner", cure+"   # another router_id, on all nodes of the group"), true
	case int(a.packet.Version) != g.VRRP.Version:
		return fail(fmt.Sprintf("%s in version %d, group %s speaks version %d", id, a.packet.Version, g.Name, g.VRRP.Version), "neither hears the other, and both own the address", cure+"   # version, the same on all nodes"), true
	case !slices.Equal(ours, theirs):
		return warn(fmt.Sprintf("%s for %v, group %s has %v", id, theirs, g.Name, ours), "a failover changes which addresses there are", cure+"   # addresses, the same on all nodes"), true
	case a.packet.Priority != 0 && a.packet.Interval != g.VRRP.AdvertInterval:
		return warn(fmt.Sprintf("%s every %v, group %s every %v", id, a.packet.Interval, g.Name, g.VRRP.AdvertInterval), "in version 2 neither hears the other; in version 3 a failover takes as long as the Active says", cure+"   # advert_interval, the same on all nodes"), true
	}
	return Finding{}, false
}
