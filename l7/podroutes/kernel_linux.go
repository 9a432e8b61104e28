package podroutes

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/rtnl"
)

// Read returns the routes of the main table that lead to a network.
func Read() ([]Found, error) {
	routes, err := rtnl.Dump("routes", func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, err
	}
	var out []Found
	for _, r := range routes {
		if p, ok := prefix(r.Dst); ok {
			out = append(out, Found{Pods: p, Via: rtnl.Addr(r.Gw), Ours: r.Protocol == Mark})
		}
	}
	return out, nil
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a, bits), ok && bits > 0
}

// Local returns the addresses of this machine.
func Local() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out, nil
}

// Apply makes one change. A route that is gone already is no error.
func Apply(o Op) error {
	r := netlink.Route{
		Dst:      &net.IPNet{IP: o.Pods.Addr().AsSlice(), Mask: net.CIDRMask(o.Pods.Bits(), o.Pods.Addr().BitLen())},
		Gw:       o.Via.AsSlice(),
		Protocol: Mark,
		Table:    unix.RT_TABLE_MAIN,
	}
	change := netlink.RouteReplace
	if o.Delete {
		change = netlink.RouteDel
	}
	switch err := change(&r); {
	case err == nil, o.Delete && errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%v: %w: the process needs CAP_NET_ADMIN", o, err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%v: %w: the Node must stand on a network of this machine", o, err)
	default:
		return fmt.Errorf("%v: %w", o, err)
	}
}
