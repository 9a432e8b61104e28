package guard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dumpTries is how often a dump is repeated that a change fell into.
const dumpTries = 10

// dump calls list until no change of another falls into it.
func dump[T any](what string, list func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return all, nil
}

// readHost reads the node's addresses, neighbours and gateways.
func readHost() (Host, error) {
	h := Host{Own: map[netip.Addr]bool{}}
	addrs, err := dump("addresses", func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	for _, a := range addrs {
		h.Own[addr(a.IP)] = true
	}
	neighbors, err := dump("neighbours", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	// NUD_VALID of include/net/neighbour.h.
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	for _, n := range neighbors {
		a := addr(n.IP)
		if n.State&valid == 0 || len(n.HardwareAddr) != len(MAC{}) || !a.IsValid() || a.IsMulticast() {
			continue
		}
		h.Neighbors = append(h.Neighbors, Neighbor{a, n.LinkIndex, MAC(n.HardwareAddr), n.State&unix.NUD_STALE != 0})
	}
	routes, err := dump("routes", func() ([]netlink.Route, error) {
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
		gw := hop.Gw
		if via, ok := hop.Via.(*netlink.Via); ok { // of the other family (RFC 5549)
			gw = via.Addr
		}
		if a := addr(gw); a.IsValid() {
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
		// As a packet to it would (net/core/neighbour.c, NTF_USE).
		err := netlink.NeighSet(&netlink.Neigh{LinkIndex: r.LinkIndex, IP: a.AsSlice(), Flags: netlink.NTF_USE})
		if err != nil {
			return netip.Addr{}, fmt.Errorf("ask for %s: %w", a, err)
		}
	}
	return netip.Addr{}, nil
}

// addr is the invalid address for nil.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
