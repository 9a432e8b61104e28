package guard

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/l4"
)

// A Host is what the kernel knows of this node and its links.
type Host struct {
	// Own are this node's addresses.
	Own       map[netip.Addr]bool
	Neighbors []Neighbor
	Gateways  []Gateway
}

// A Neighbor is an entry of the neighbour table that has a hardware address.
type Neighbor struct {
	Addr netip.Addr
	Link int // the interface's index
	MAC  MAC
	// Stale tells that the kernel has not heard of it for a while.
	Stale bool
}

// A Gateway is the next hop of a route.
type Gateway struct {
	Addr    netip.Addr
	Link    int
	Default bool // of the route to everywhere
}

// A Peer is another director, or a machine that may be one: they are the other
// servers of our services, and who speaks VRRP with us.
type Peer struct {
	Address netip.Addr `json:"address"`
	MAC     MAC        `json:"mac,omitzero"`
	// LeftOut is why its frames are not guarded against; empty when they are.
	LeftOut string `json:"left_out,omitempty"`
}

// unknown is a reason to leave a peer out that passes.
const unknown = "its hardware address is not known yet"

func behind(gateway netip.Addr) string {
	return fmt.Sprintf("it is on no link of this node, but behind %s", gateway)
}

// want returns the table for a configuration, and all peers in ascending order
// of address. also are peers beside the servers of the services. latest is how
// they were known before: a peer that does not answer may balance nonetheless.
//
// A service is guarded where this node is among its servers, since a packet
// that a peer balanced to a machine which is none was meant for another. One by
// firewall mark is not: its rule, and not we, say which packets it takes.
//
// Peers there are without a table as well, where the configuration wants none:
// XDP goes by them too, and what it sends on never grows old on the way.
func want(cfg l4.Config, also []netip.Addr, host Host, latest map[netip.Addr]Neighbor) (Table, []Peer) {
	var t Table
	others := map[netip.Addr]bool{}
	for _, s := range cfg.Services {
		for _, a := range s.Addrs {
			if s.Forward != l4.DirectRoute || s.Mark != 0 || !serves(s, a, host) {
				continue
			}
			t.Services = append(t.Services, Service{s.Protocol, netip.AddrPortFrom(a, s.Port)})
			for _, r := range s.Servers {
				others[r.Addr.Addr()] = true
			}
		}
	}
	if len(t.Services) == 0 {
		return Table{}, nil
	}
	for _, a := range also {
		others[a] = true
	}
	maps.DeleteFunc(others, func(a netip.Addr, _ bool) bool { return host.Own[a] })
	var peers []Peer
	for _, a := range slices.SortedFunc(maps.Keys(others), netip.Addr.Compare) {
		peers = append(peers, host.peers(a, others, latest)...)
	}
	if !cfg.Guard {
		return Table{}, peers
	}
	for _, p := range peers {
		if p.LeftOut == "" {
			t.Peers = append(t.Peers, p.MAC)
		}
	}
	slices.SortFunc(t.Peers, MAC.compare)
	slices.SortFunc(t.Services, Service.compare)
	t.Peers, t.Services = slices.Compact(t.Peers), slices.Compact(t.Services)
	return t, peers
}

// serves reports whether this node is a server for the service's address.
func serves(s l4.Service, vip netip.Addr, host Host) bool {
	return slices.ContainsFunc(s.Servers, func(r l4.Server) bool {
		return r.Addr.Addr().Is4() == vip.Is4() && host.Own[r.Addr.Addr()]
	})
}

// peers returns the peer with an address, once for each hardware address that
// it has.
func (h Host) peers(a netip.Addr, others map[netip.Addr]bool, latest map[netip.Addr]Neighbor) []Peer {
	var known []Neighbor
	for _, n := range h.Neighbors {
		if n.Addr == a {
			known = append(known, n)
		}
	}
	if n, ok := latest[a]; ok && len(known) == 0 {
		known = []Neighbor{n}
	}
	if len(known) == 0 {
		return []Peer{{Address: a, LeftOut: unknown}}
	}
	var found []Peer
	for _, n := range known {
		p := Peer{Address: a, MAC: n.MAC}
		if gw, ok := h.gatewayOf(n, others); ok {
			p.LeftOut = fmt.Sprintf("its hardware address is that of the gateway %s, from which clients come", gw)
		}
		found = append(found, p)
	}
	return found
}

// gatewayOf returns the gateway that has a neighbour's hardware address on its
// link, as where a router answers ARP for others. All that clients send would
// come from there, and stay here. A peer that is the gateway of its own Pods is
// no such thing: it holds the virtual address itself, and passes no packet for
// it on. Nor is a route by a link-local address, which may be a peer's.
func (h Host) gatewayOf(n Neighbor, others map[netip.Addr]bool) (netip.Addr, bool) {
	for _, gw := range h.Gateways {
		if !gw.Default && (others[gw.Addr] || gw.Addr.IsLinkLocalUnicast()) {
			continue
		}
		for _, m := range h.Neighbors {
			if m.Addr == gw.Addr && m.Link == gw.Link && m.Link == n.Link && m.MAC == n.MAC {
				return gw.Addr, true
			}
		}
	}
	return netip.Addr{}, false
}
