package xdp

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/l4"
)

// A Config is what the operator wants of XDP.
type Config struct {
	l4.XDP
	// Shield is dropped before anything else is done for it. Of its Deny, Plane.Deny
	// is told, with all others.
	Shield l4.Shield
	// Services says whether there is anything to balance.
	Services bool
	// Ports are those of TCP services, on which this node is perhaps a server.
	Ports []netip.AddrPort
	// Of tells by which interface the packets of a virtual address come.
	Of map[netip.Addr]string
}

// on reports whether the program is to run at all.
func (c Config) on() bool { return c.Choice != l4.ByIPVS && c.Services }

// interfaces are the names of those that the program is to run on.
func (c Config) interfaces() []string {
	if len(c.Interfaces) > 0 {
		return slices.Sorted(slices.Values(c.Interfaces))
	}
	return slices.Compact(slices.Sorted(maps.Values(c.Of)))
}

// interfaceOf returns the interface by which the packets of an address come,
// and whether one of those that have the program takes them: where the operator
// names interfaces, addresses may come by any.
func (c Config) interfaceOf(a netip.Addr, modes map[string]string) (name string, carried bool) {
	name = c.Of[a]
	if modes[name] != "" || len(c.Interfaces) == 0 {
		return name, modes[name] != ""
	}
	for _, other := range slices.Sorted(maps.Keys(modes)) {
		return other, true
	}
	return name, false
}
