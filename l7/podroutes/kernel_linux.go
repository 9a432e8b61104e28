package podroutes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Read returns the routes of the main table that lead to a network.
func Read() ([]Found, error) {
	routes, err := netlink.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	var out []Found
	for _, r := range routes {
		if p, ok := prefix(r.Dst); ok {
			via, _ := netip.AddrFromSlice(r.Gw)
			out = append(out, Found{Pods: p, Via: via.Unmap(), Ours: r.Protocol == Mark})
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

// watch rings once it listens, and for every change of routes and addresses
// from then on, until ctx ends.
func watch(ctx context.Context, ring func()) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
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
			return fmt.Errorf("receive routes: %w", err)
		}
	}
}
