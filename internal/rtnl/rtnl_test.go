package rtnl_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/rtnl"
)

func TestDump(t *testing.T) {
	for _, c := range []struct {
		interrupted int
		then        error
		want        string
		calls       int
	}{
		{0, nil, "[7] <nil>", 1},
		{3, nil, "[7] <nil>", 4},
		{99, nil, "[] read things: " + netlink.ErrDumpInterrupted.Error(), 10},
		{1, unix.EPERM, "[] read things: operation not permitted", 2},
	} {
		calls := 0
		got, err := rtnl.Dump("things", func() ([]int, error) {
			if calls++; calls <= c.interrupted {
				return []int{1}, netlink.ErrDumpInterrupted
			}
			return []int{7}, c.then
		})
		if s := fmt.Sprint(got, " ", err); s != c.want || calls != c.calls {
			t.Errorf("%d interrupted: %s after %d calls, want %s after %d", c.interrupted, s, calls, c.want, c.calls)
		}
	}
}

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rung := make(chan struct{}, 1)
	ended := make(chan error)
	go func() { ended <- rtnl.Watch(ctx, func() { rung <- struct{}{} }, unix.RTNLGRP_LINK) }()
	<-rung // it listens
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNextHop(t *testing.T) {
	other := &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")}
	for _, c := range []struct {
		gw   net.IP
		via  netlink.Destination
		want netip.Addr
	}{
		{nil, nil, netip.Addr{}},
		{net.ParseIP("192.0.2.1"), nil, netip.MustParseAddr("192.0.2.1")},
		{nil, other, netip.MustParseAddr("fe80::1")},
	} {
		if got := rtnl.NextHop(c.gw, c.via); got != c.want {
			t.Errorf("%v %v: %v, want %v", c.gw, c.via, got, c.want)
		}
	}
}

func TestValid(t *testing.T) {
	for state, want := range map[int]bool{
		unix.NUD_NONE: false, unix.NUD_INCOMPLETE: false, unix.NUD_FAILED: false,
		unix.NUD_REACHABLE: true, unix.NUD_STALE: true, unix.NUD_PERMANENT: true,
	} {
		if rtnl.Valid(state) != want {
			t.Errorf("state %#x: %t", state, !want)
		}
	}
}
