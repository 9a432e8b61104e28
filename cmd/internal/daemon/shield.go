package daemon

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/l4/shield"
)

// l4Denials is the file below node.run_dir that keeps what operators deny.
const l4Denials = "l4.denials"

// buildShield makes who keeps the list of denied networks; XDP drops them.
func (d *daemon) buildShield(c config.Config) {
	d.shield = shield.New(shield.Options{
		Log: d.log.With("part", "shield"), File: filepath.Join(c.Node.RunDir, l4Denials),
		Deny: d.xdp.Deny, Denied: d.xdp.Denied, Works: d.xdp.Drops, Friends: d.friends,
	})
	d.shield.Set(c.L4.Shield)
}

// friends are the addresses of this node and of the other routers. Of one that
// is several the first counts: a virtual address stands on this node, whose own
// address is that of the Active router perhaps.
func (d *daemon) friends() []shield.Friend {
	var all []shield.Friend
	d.mu.Lock()
	for _, g := range d.config.VIP.Groups {
		for _, a := range g.Addresses {
			all = append(all, shield.Friend{Addr: a.Addr(), What: "a virtual address of the group " + g.Name})
		}
	}
	d.mu.Unlock()
	own, err := net.InterfaceAddrs()
	if err != nil {
		d.log.Warn("own addresses are not known", "part", "shield", "err", err)
	}
	for _, a := range own {
		if n, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, shield.Friend{Addr: n.Addr().WithZone(""), What: "an address of this node"})
		}
	}
	for _, a := range d.peers() {
		all = append(all, shield.Friend{Addr: a, What: "a VRRP peer"})
	}
	return all
}

// handleShield adds the list and the orders that change it.
func (d *daemon) handleShield(a *admin.API) {
	const path = "/api/v1/deny"
	admin.HandleGet(a, path, "Networks whose packets are dropped, and how many were.",
		func(*http.Request) (shield.List, error) { return d.shield.List(time.Now()), nil })
	admin.HandleOrder(a, path, "Drop the packets of a network, or let them in again.",
		func(_ context.Context, o shield.Order) error { return d.shield.Order(o, time.Now()) })
}
