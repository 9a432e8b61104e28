// Package rtnl is what several parts need of rtnetlink(7) alike: dumps that no
// change of another falls into, a bell for changes, and the kernel's words for
// addresses, next hops and neighbours.
package rtnl

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

// Dump calls list until no change of another falls into it, ten times at most.
// The error of a failure names what.
func Dump[T any](what string, list func() ([]T, error)) (all []T, err error) {
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

// Watch rings once it listens to the groups (unix.RTNLGRP_...), and for every
// change told there from then on, also where messages were lost, until ctx ends.
func Watch(ctx context.Context, ring func(), groups ...uint) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return fmt.Errorf("subscribe to changes of the network: %w", err)
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
			return fmt.Errorf("receive changes of the network: %w", err)
		}
	}
}

// Addr is the invalid address for nil.
func Addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// NextHop is the gateway of a route, which may be of the other family (RFC
// 5549), and invalid where the route leads to a link.
func NextHop(gw net.IP, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok {
		gw = v.Addr
	}
	return Addr(gw)
}

// Valid reports whether a neighbour's hardware address may be used: NUD_VALID
// of include/net/neighbour.h.
func Valid(state int) bool {
	return state&(unix.NUD_PERMANENT|unix.NUD_NOARP|unix.NUD_REACHABLE|unix.NUD_PROBE|unix.NUD_STALE|unix.NUD_DELAY) != 0
}

// Ask makes the kernel ask for a neighbour's hardware address, or confirm it, as
// a packet to it would (net/core/neighbour.c, NTF_USE).
func Ask(link int, a netip.Addr) error {
	if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: link, IP: a.AsSlice(), Flags: netlink.NTF_USE}); err != nil {
		return fmt.Errorf("ask for %s: %w", a, err)
	}
	return nil
}
