package xdp

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/rtnl"
)

// readHost reads what the kernel knows of the servers and their links. A server
// without a route is left out.
func readHost(servers map[netip.Addr]bool) (Host, error) {
	h := Host{Routes: map[netip.Addr]Route{}, Links: map[int]Link{}}
	links, err := rtnl.Dump("interfaces", netlink.LinkList)
	if err != nil {
		return h, err
	}
	for _, l := range links {
		h.Links[l.Attrs().Index] = fromLink(l)
	}
	neighbors, err := rtnl.Dump("neighbours", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	for _, n := range neighbors {
		if a := rtnl.Addr(n.IP); a.IsValid() {
			h.Neighbors = append(h.Neighbors, fromNeigh(a, n))
		}
	}
	for a := range servers {
		routes, err := netlink.RouteGet(a.AsSlice())
		if err != nil || len(routes) == 0 {
			continue // unreachable: IPVS would say so, packet by packet
		}
		h.Routes[a] = route(a, routes[0])
	}
	return h, nil
}

func fromLink(l netlink.Link) Link {
	a := l.Attrs()
	out := Link{Name: a.Name}
	if len(a.HardwareAddr) == len(out.MAC) {
		out.MAC = MAC(a.HardwareAddr)
	}
	if v, ok := l.(*netlink.Vlan); ok {
		out.Parent, out.VLAN = a.ParentIndex, v.VlanId
	}
	return out
}

func fromNeigh(a netip.Addr, n netlink.Neigh) Neighbor {
	out := Neighbor{Link: n.LinkIndex, Addr: a, Stale: n.State&unix.NUD_STALE != 0}
	if rtnl.Valid(n.State) && len(n.HardwareAddr) == len(out.MAC) {
		out.MAC, out.Valid = MAC(n.HardwareAddr), true
	}
	return out
}

// route returns the next machine on the way to a server, which is the server
// itself where it is on the link.
func route(a netip.Addr, r netlink.Route) Route {
	if r.Type == unix.RTN_LOCAL {
		return Route{Local: true}
	}
	if g := rtnl.NextHop(r.Gw, r.Via); g.IsValid() {
		a = g
	}
	return Route{Link: r.LinkIndex, Via: a}
}
