package xdp

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l4"
)

// A Holding is what the maps hold, or should hold.
type Holding struct {
	Services map[l4.Key]Service
	// Backends are by their ids, from 1.
	Backends map[uint32]Backend
	// Builds tell by service id what each table was made of.
	Builds map[uint32]Build
	// Interfaces are those that frames are taken from and sent by, by index.
	Interfaces map[int]MAC
	Peers      map[MAC]bool
	// Generation is the latest that a backend was given.
	Generation uint32
}

// A Service is an entry of the services.
type Service struct {
	ID uint32 // from 1
	// Flags are l4.FlagFallback and l4.FlagPort.
	Flags uint32
}

// A Backend is a server of a service.
type Backend struct {
	// Service is its id, Server the address of the server.
	Service uint32
	Server  netip.AddrPort
	// Place is its place among the servers, from 0.
	Place int
	// Weight is 0 for one that takes no new connections. Base is what its rows
	// follow.
	Weight, Base int
	// Generation tells apart who had the id one after the other: a connection
	// that the program remembers of an earlier one is none.
	Generation uint32
	Hop        Hop
}

// A Hop is where frames to a server go.
type Hop struct {
	// Local is this node itself.
	Local bool
	// Link is the interface, by its index, and MAC the next machine on it; zero
	// where they are not known. VLAN is the tag that frames have there, 0 for none.
	Link int
	VLAN int
	MAC  MAC
}

// resolved reports whether a frame can be sent.
func (h Hop) resolved() bool { return h.Link != 0 && h.MAC != MAC{} }

// A MAC is an Ethernet address.
type MAC [6]byte

// String returns "02:00:00:00:00:01".
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

func newHolding() Holding {
	return Holding{
		Services: map[l4.Key]Service{}, Backends: map[uint32]Backend{}, Builds: map[uint32]Build{},
		Interfaces: map[int]MAC{}, Peers: map[MAC]bool{},
	}
}

// String prints everything in order, a line a service and each of its backends.
func (h Holding) String() string {
	var b strings.Builder
	for _, k := range slices.SortedFunc(maps.Keys(h.Services), l4.Key.Compare) {
		s := h.Services[k]
		fmt.Fprintf(&b, "%d %s%s\n", s.ID, k, map[bool]string{true: " fallback"}[s.Flags&l4.FlagFallback != 0]+map[bool]string{true: " port"}[s.Flags&l4.FlagPort != 0])
		for _, id := range h.of(s.ID) {
			fmt.Fprintf(&b, "  %d %s\n", id, h.Backends[id])
		}
	}
	for _, i := range slices.Sorted(maps.Keys(h.Interfaces)) {
		fmt.Fprintf(&b, "interface %d %s\n", i, h.Interfaces[i])
	}
	for _, m := range slices.SortedFunc(maps.Keys(h.Peers), MAC.compare) {
		fmt.Fprintf(&b, "peer %s\n", m)
	}
	return b.String()
}

// String prints a backend: "10.0.0.1:80 weight 1 base 1 generation 7 at
// 02:00:00:00:00:01 on 2".
func (b Backend) String() string {
	return fmt.Sprintf("%s weight %d base %d generation %d %s", b.Server, b.Weight, b.Base, b.Generation, b.Hop)
}

// String says where the frames go.
func (h Hop) String() string {
	switch {
	case h.Local:
		return "local"
	case !h.resolved():
		return "unresolved"
	case h.VLAN != 0:
		return fmt.Sprintf("at %s on %d vlan %d", h.MAC, h.Link, h.VLAN)
	}
	return fmt.Sprintf("at %s on %d", h.MAC, h.Link)
}

func (m MAC) compare(o MAC) int { return slices.Compare(m[:], o[:]) }

// of returns the ids of a service's backends, in the order of their servers.
func (h Holding) of(service uint32) []uint32 {
	var ids []uint32
	for id, b := range h.Backends {
		if b.Service == service {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(h.Backends[a].Place, h.Backends[b].Place), cmp.Compare(a, b))
	})
	return ids
}
