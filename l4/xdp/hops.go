package xdp

import (
	"net/netip"
	"slices"
)

// A Route is the way to a server, as the kernel would take it.
type Route struct {
	// Local is a server on this node.
	Local bool
	// Link is the interface, by its index, and Via the next machine there: the
	// server itself, or a gateway.
	Link int
	Via  netip.Addr
}

// A Neighbor is an entry of the kernel's neighbour table.
type Neighbor struct {
	Link int
	Addr netip.Addr
	MAC  MAC
	// Valid says that the kernel would send to MAC, and Stale that it would ask
	// at once whether it is still there.
	Valid, Stale bool
}

// A Link is an interface.
type Link struct {
	Name string
	MAC  MAC
	// Parent is the interface below a VLAN, VLAN its tag; 0 for others.
	Parent, VLAN int
}

// A Host is what the kernel knows of this node and its links.
type Host struct {
	Routes    map[netip.Addr]Route // of each server
	Neighbors []Neighbor
	Links     map[int]Link
}

// hops returns where frames to the servers go, and the neighbours that the
// kernel should ask for: XDP's packets pass it unseen, and it would forget who
// gets nothing else. on are the interfaces that the program runs on.
func (h Host) hops(on map[int]MAC) (hops map[netip.Addr]Hop, ask []Neighbor) {
	hops = map[netip.Addr]Hop{}
	for a, r := range h.Routes {
		if r.Local {
			hops[a] = Hop{Local: true}
			continue
		}
		i := slices.IndexFunc(h.Neighbors, func(n Neighbor) bool { return n.Addr == r.Via && n.Link == r.Link })
		if i < 0 || !h.Neighbors[i].Valid || h.Neighbors[i].Stale {
			ask = append(ask, Neighbor{Link: r.Link, Addr: r.Via})
		}
		if i < 0 || !h.Neighbors[i].Valid {
			continue
		}
		hop := Hop{Link: r.Link, MAC: h.Neighbors[i].MAC}
		// Where the program runs below a VLAN, it sees the tag.
		if l := h.Links[r.Link]; on[r.Link] == (MAC{}) && l.VLAN != 0 {
			hop.Link, hop.VLAN = l.Parent, l.VLAN
		}
		hops[a] = hop
	}
	slices.SortFunc(ask, func(a, b Neighbor) int { return a.Addr.Compare(b.Addr) })
	return hops, slices.CompactFunc(ask, func(a, b Neighbor) bool { return a == b })
}
