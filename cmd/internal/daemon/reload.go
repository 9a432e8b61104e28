package daemon

import (
	"time"

	"github.com/portico-lb/portico/cmd/internal/config"
)

// reload reads the file again and applies what differs. Everything that can
// fail does so first: a bad file changes nothing.
func (d *daemon) reload() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := config.Load(d.opts.ConfigPath, d.opts.Wants)
	if err == nil {
		err = d.standsBy(c)
	}
	if err != nil {
		d.loaded.Error, d.loaded.Failed = err.Error(), time.Now()
		return err
	}
	commit := func() {}
	if d.l7 != nil {
		if commit, err = d.l7.Prepare(c.L7); err != nil {
			d.loaded.Error, d.loaded.Failed = err.Error(), time.Now()
			return err
		}
	}
	d.needRestart(c)
	d.level.Set(c.Log.Level)
	if d.nodes != nil {
		d.nodes.Set(d.nodesConfig(c))
		d.podRoutes.Set(d.podRoutesConfig(c))
	}
	if d.xdp != nil {
		d.xdp.Set(xdpConfig(c))
		d.shield.Set(c.L4.Shield)
	}
	d.setServers(c.L4)
	commit()
	if d.vip != nil {
		d.vip.Set(c.VIP)
		d.teller.Set(c.Notify)
	}
	d.config = c
	d.setWeb()
	d.loaded = ConfigStatus{Path: d.opts.ConfigPath, Loaded: time.Now(), Hash: c.Hash}
	d.log.Info("configuration reloaded", "config", d.opts.ConfigPath)
	return nil
}

// needRestart says which of the new values wait for the next start.
func (d *daemon) needRestart(c config.Config) {
	for _, v := range []struct {
		key  string
		same bool
	}{
		{"node.name", c.Node.Name == d.config.Node.Name},
		{"node.run_dir", c.Node.RunDir == d.config.Node.RunDir},
		{"node.state_dir", c.Node.StateDir == d.config.Node.StateDir},
		{"admin.socket", c.Admin.Socket == d.config.Admin.Socket},
		{"admin.l7_socket", c.Admin.L7Socket == d.config.Admin.L7Socket},
		{"l4.xdp.flows", c.L4.XDP.Flows == d.config.L4.XDP.Flows},
		{"log.format", c.Log.Text == d.config.Log.Text},
		{"l7.drain", c.L7.Drain == d.config.L7.Drain},
		{"l7.state_dir", c.L7.StateDir == d.config.L7.StateDir},
	} {
		if !v.same {
			d.log.Warn("changed key takes effect at the next start", "key", v.key)
		}
	}
}
