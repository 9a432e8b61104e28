package guard

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/rtnl"
)

// readHost reads the node's addresses, neighbours and gateways.
func readHost() (Host, error) {
	h := Host{Own: map[netip.Addr]bool{}}
	addrs, err := rtnl.Dump("addresses", func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	for _, a := range addrs {
		h.Own[rtnl.Addr(a.IP)] = true
	}
	neighbors, err := rtnl.Dump("neighbours", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	for _, n := range neighbors {
		a := rtnl.Addr(n.IP)
		if !rtnl.Valid(n.State) || len(n.HardwareAddr) != len(MAC{}) || !a.IsValid() || a.IsMulticast() {
			continue
		}
		h.Neighbors = append(h.Neighbors, Neighbor{a, n.LinkIndex, MAC(n.HardwareAddr), n.State&unix.NUD_STALE != 0})
	}
	routes, err := rtnl.Dump("routes", func() ([]netlink.Route, error) {
		// Of every table: policy routing may lead to any.
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return h, err
	}
	for _, r := range routes {
		h.Gateways = append(h.Gateways, gateways(r)...)
	}
	return h, nil
}

// gateways returns the next hops of a route, none where it leads to a link.
func gateways(r netlink.Route) []Gateway {
	everywhere := r.Dst == nil
	if !everywhere {
		ones, _ := r.Dst.Mask.Size()
		everywhere = ones == 0
	}
	hops := r.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via}}
	}
	var found []Gateway
	for _, hop := range hops {
		if a := rtnl.NextHop(hop.Gw, hop.Via); a.IsValid() {
			found = append(found, Gateway{a, hop.LinkIndex, everywhere})
		}
	}
	return found
}

// resolve makes the kernel ask for a neighbour's hardware address, and confirm
// one that it has not heard of for a while. It returns the gateway where the
// address is on no link.
func resolve(a netip.Addr) (via netip.Addr, err error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("route to %s: %w", a, err)
	}
	for _, r := range routes {
		if hops := gateways(r); len(hops) > 0 {
			return hops[0].Addr, nil
		}
		if err := rtnl.Ask(r.LinkIndex, a); err != nil {
			return netip.Addr{}, err
		}
	}
	return netip.Addr{}, nil
}
