package xdp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
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

// readHost reads what the kernel knows of the servers and their links. A server
// without a route is left out.
func readHost(servers map[netip.Addr]bool) (Host, error) {
	h := Host{Routes: map[netip.Addr]Route{}, Links: map[int]Link{}}
	links, err := dump("interfaces", netlink.LinkList)
	if err != nil {
		return h, err
	}
	for _, l := range links {
		h.Links[l.Attrs().Index] = fromLink(l)
	}
	neighbors, err := dump("neighbours", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return h, err
	}
	for _, n := range neighbors {
		if a := addr(n.IP); a.IsValid() {
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
	// NUD_VALID of include/net/neighbour.h.
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	out := Neighbor{Link: n.LinkIndex, Addr: a, Stale: n.State&unix.NUD_STALE != 0}
	if n.State&valid != 0 && len(n.HardwareAddr) == len(out.MAC) {
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
	gw := r.Gw
	if via, ok := r.Via.(*netlink.Via); ok { // of the other family (RFC 5549)
		gw = via.Addr
	}
	if g := addr(gw); g.IsValid() {
		a = g
	}
	return Route{Link: r.LinkIndex, Via: a}
}

// ask makes the kernel ask for a neighbour's hardware address, as a packet to
// it would (net/core/neighbour.c, NTF_USE).
func ask(n Neighbor) error {
	err := netlink.NeighSet(&netlink.Neigh{LinkIndex: n.Link, IP: n.Addr.AsSlice(), Flags: netlink.NTF_USE})
	if err != nil {
		return fmt.Errorf("ask for %s: %w", n.Addr, err)
	}
	return nil
}

// watch rings once it listens, and for every change of neighbours, interfaces,
// addresses and routes from then on, until ctx ends.
func watch(ctx context.Context, ring func()) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribe to neighbours: %w", err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	for {
		ring()
		_, _, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, unix.ENOBUFS): // messages were lost
			return fmt.Errorf("receive neighbours: %w", err)
		}
	}
}

// addr is the invalid address for nil.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
