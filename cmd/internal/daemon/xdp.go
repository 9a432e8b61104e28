package daemon

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/ipvs"
	"github.com/portico-lb/portico/l4/xdp"
)

// Pins is the directory of what XDP leaves in the kernel. It stands below
// node.run_dir rather than /sys/fs/bpf, which root alone may enter.
func Pins(c config.Config) xdp.Pins { return xdp.Pins(filepath.Join(c.Node.RunDir, "bpf")) }

func (d *daemon) buildXDP(c config.Config) {
	d.xdp = xdp.New(xdp.Options{
		Log: d.log.With("part", "xdp"), Pins: Pins(c), Peers: d.peerMACs, Alive: d.alive, Rows: xdp.Rows(),
	})
	d.xdp.Set(xdpConfig(c))
}

// xdpConfig says by which interface the packets of each address come.
func xdpConfig(c config.Config) xdp.Config {
	x := xdp.Config{XDP: c.L4.XDP, Shield: c.L4.Shield, Services: len(c.L4.Services) > 0, Of: map[netip.Addr]string{}}
	interfaces := map[netip.Addr]string{}
	for _, g := range c.VIP.Groups {
		for _, a := range g.Addresses {
			interfaces[a.Addr()] = g.Interface
		}
	}
	for _, s := range c.L4.Services {
		for _, a := range s.Addrs {
			x.Of[a] = interfaces[a]
			if s.Mark == 0 && s.Protocol == l4.TCP {
				x.Ports = append(x.Ports, netip.AddrPortFrom(a, s.Port))
			}
		}
	}
	return x
}

// peerMACs are the other directors as the guard knows them.
func (d *daemon) peerMACs() (macs []xdp.MAC) {
	for _, p := range d.guard.Status().Peers {
		if p.LeftOut == "" {
			macs = append(macs, xdp.MAC(p.MAC))
		}
	}
	return macs
}

// alive returns when who decides about owners answers.
func (d *daemon) alive() {
	if d.vip != nil {
		d.vip.Owns(netip.Addr{})
	}
}

// standsBy is an error where a file wants IPVS and the kernel had none at the
// start: nobody would carry its services.
func (d *daemon) standsBy(c config.Config) error {
	if d.withoutIPVS == nil || c.L4.XDP.Choice == l4.ByXDP || len(c.L4.Services) == 0 {
		return nil
	}
	return fmt.Errorf("l4.dataplane = %q: %w, and restart portico", c.L4.XDP.Choice, d.withoutIPVS)
}

// dataplane returns IPVS, or where the kernel has none and the operator wants
// XDP, that by itself.
func (d *daemon) dataplane(c config.Config) (l4.Dataplane, error) {
	plane := ipvs.New()
	if len(c.L4.Services) == 0 {
		return plane, nil
	}
	err := plane.Open()
	switch {
	case err == nil:
		return plane, nil
	case c.L4.XDP.Choice == l4.ByXDP:
		d.log.Warn("XDP stands alone: what it does not carry nobody does", "part", "l4", "reason", err)
		d.withoutIPVS = err
		return xdp.NewAlone(d.xdp), nil
	}
	// A node that cannot balance must not come up as if it could.
	return nil, err
}
