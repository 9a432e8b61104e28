package config

import (
	"net"

	"github.com/vishvananda/netlink"
)

// defaultInterface returns the interface of the default route with the lowest
// metric, IPv4 before IPv6, or "" where there is none.
func defaultInterface() string {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteList(nil, family)
		if err != nil {
			continue // a family that the kernel lacks has no default route
		}
		best := netlink.Route{Priority: -1}
		for _, r := range routes {
			isDefault := r.Dst == nil || ones(r.Dst) == 0
			if isDefault && r.LinkIndex > 0 && (best.Priority < 0 || r.Priority < best.Priority) {
				best = r
			}
		}
		if link, err := netlink.LinkByIndex(best.LinkIndex); err == nil {
			return link.Attrs().Name
		}
	}
	return ""
}

func ones(n *net.IPNet) int {
	bits, _ := n.Mask.Size()
	return bits
}
