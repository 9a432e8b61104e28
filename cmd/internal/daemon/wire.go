package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
)

// l4Record is the file below node.run_dir that lists the virtual services
// that are ours, one a line.
const l4Record = "l4.services"

// l4Drains is the file beside it that keeps what an operator took out of
// service.
const l4Drains = "l4.drains"

// buildL4 makes the reconciler. It sees the owner and the verdicts through
// functions, and knows neither vip nor the monitor.
func (d *daemon) buildL4(c config.Config) error {
	if d.health == nil {
		return errors.New("--only: l4 needs health, which gives each server its weight")
	}
	d.buildXDP(c)
	d.buildShield(c)
	plane, err := d.dataplane(c)
	if err != nil {
		return fmt.Errorf("l4: %w", err)
	}
	o := l4.Options{
		Log:       d.log.With("part", "l4"),
		Dataplane: plane,
		Health:    d.health.Snapshot,
		Owned:     func(netip.Addr) bool { return true },
		StateFile: filepath.Join(c.Node.RunDir, l4Record),
		DrainFile: filepath.Join(c.Node.RunDir, l4Drains),

		Accelerator:   d.xdp,
		HealthChanged: d.health.Changed(),
	}
	if d.vip != nil {
		o.Owned = d.vip.Owns
	}
	d.l4 = l4.New(o)
	d.guard = guard.New(guard.Options{Log: d.log.With("part", "guard"), Peers: d.peers})
	return nil
}

// peers are the other routers that VRRP knows of, whoever else balances.
func (d *daemon) peers() []netip.Addr {
	if d.vip == nil {
		return nil
	}
	d.mu.Lock()
	groups := d.config.VIP.Groups
	d.mu.Unlock()
	var peers []netip.Addr
	for _, g := range groups {
		peers = append(peers, g.VRRP.Peers...)
	}
	for _, g := range d.vip.Status().Groups {
		if g.Active.IsValid() {
			peers = append(peers, g.Active.WithZone(""))
		}
	}
	return peers
}

// buildVIP makes the keeper of addresses, and who tells of its transitions. At
// a take-over the keeper waits for l4 before it announces, and at a release
// before it lets go.
func (d *daemon) buildVIP(c config.Config) {
	d.vip = vip.New(vip.Options{
		Log:      d.log.With("part", "vip"),
		StateDir: c.Node.RunDir,
		Sync:     d.syncL4,
	})
	d.vip.Set(c.VIP)
	d.teller = notify.New(notify.Options{Log: d.log.With("part", "notify"), Node: c.Node.Name, Recent: d.transitions})
	d.teller.Set(c.Notify)
}

// transitions are what the groups' histories hold.
func (d *daemon) transitions() []notify.Event {
	var events []notify.Event
	for _, g := range d.vip.Status().Groups {
		for _, t := range g.History {
			events = append(events, notify.Event{
				Group: g.Name, Addresses: g.Addresses, Priority: g.Priority,
				From: t.From.String(), To: t.To.String(), Reason: t.Reason, At: t.At, Seq: t.Seq,
			})
		}
	}
	return events
}

func (d *daemon) syncL4(ctx context.Context) {
	if d.l4 == nil {
		return
	}
	if err := d.l4.Sync(ctx); err != nil {
		d.log.Warn("services not in step with the owner yet", "err", err)
	}
}
