package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/podroutes"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
)

// Version is set by the linker.
var Version = "development"

// PartNames are the values of run --only.
var PartNames = []string{"vip", "l4", "health", "l7"}

// Options say how to run the daemon.
type Options struct {
	ConfigPath string
	// Only names the parts to run; empty runs all.
	Only []string
	// Args are the command line's arguments, to start a successor with.
	Args []string
	// Reload gets a value for each SIGHUP, Reopen for each SIGUSR1, Upgrade for
	// each SIGUSR2.
	Reload, Reopen, Upgrade <-chan os.Signal
	// Stderr is where the log goes.
	Stderr io.Writer
}

// Wants reports whether the part is to run.
func (o Options) Wants(part string) bool {
	return len(o.Only) == 0 || slices.Contains(o.Only, part)
}

// A daemon is the parts of one process. A part that does not run is nil.
type daemon struct {
	opts    Options
	log     *slog.Logger
	level   *slog.LevelVar
	started time.Time
	notify  *notifier
	// socket and web are the two doors to the API.
	socket   *admin.Server
	web      *admin.Web
	recorder recorder
	// proxySocket is where another process answers that is this node's proxy.
	proxySocket string

	health    *health.Monitor
	nodes     *nodes.Follower
	podRoutes *podroutes.Keeper
	l4        *l4.Reconciler
	xdp       *xdp.Plane
	shield    *shield.Shield
	guard     *guard.Guard
	l7        *l7.L7
	vip       *vip.Manager
	teller    *notify.Notifier
	// withoutIPVS is why XDP stands alone, nil where it does not.
	withoutIPVS error
	// stored are the names of the sockets that systemd has; runStore's.
	stored map[string]bool

	mu     sync.Mutex
	config config.Config
	loaded ConfigStatus
}

// Run runs the daemon until ctx ends.
func Run(ctx context.Context, o Options) error {
	c, err := config.Load(o.ConfigPath, o.Wants)
	if err != nil {
		return err
	}
	inherited, err := inherit()
	if err != nil {
		return err
	}
	d, err := build(c, o, inherited)
	if err != nil {
		return err
	}
	if o.Wants("vip") && !o.Wants("l7") { // a proxy must not outrun the rest of the node
		hurry(d.log, c.VIP.Groups)
	}
	d.log.Info("portico starts", "version", Version, "node", c.Node.Name, "config", o.ConfigPath)
	err = runParts(ctx, d.log, d.parts(inherited.ready != nil), func() {
		d.notify.ready()
		if err := inherited.taken(); err != nil {
			d.log.Warn("tell the predecessor", "err", err)
		}
	})
	if err != nil && !errors.Is(err, errHandedOver) {
		return err
	}
	d.log.Info("portico stopped")
	return nil
}

// build makes the parts and gives each the values of the others.
func build(c config.Config, o Options, in inheritance) (*daemon, error) {
	d := &daemon{opts: o, level: new(slog.LevelVar), started: time.Now(), config: c}
	d.level.Set(c.Log.Level)
	d.log = newLogger(o.Stderr, c.Log, d.level)
	d.notify = &notifier{d.log}
	d.loaded = ConfigStatus{Path: o.ConfigPath, Loaded: d.started, Hash: c.Hash}
	if err := os.MkdirAll(c.Node.RunDir, 0o750); err != nil {
		return nil, fmt.Errorf("node.run_dir: %w", err)
	}
	if o.Wants("health") {
		d.health = health.New(health.Options{
			Log:       d.log.With("part", "health"),
			StateFile: filepath.Join(c.Node.RunDir, "health.json"),
		})
	}
	if o.Wants("vip") {
		d.buildVIP(c)
	}
	if o.Wants("l4") {
		d.buildNodes(c)
		d.buildPodRoutes(c)
		if err := d.buildL4(c); err != nil {
			return nil, err
		}
	}
	d.setServers(c.L4)
	if o.Wants("l7") {
		d.stored = in.names()
		d.l7 = l7.New(l7.Options{
			Log: d.log.With("part", "l7"), Node: c.Node.Name, Config: c.L7,
			Sockets: in.sockets, Packets: in.packets, Patience: in.patience(),
		})
	}
	return d, nil
}

// parts is THE boot order. The dataplane is adopted before anything may change
// it; the virtual address comes last and leaves first, since nothing may be
// announced that does not work.
func (d *daemon) parts(successor bool) []Part {
	d.buildAdmin(successor)
	var parts []Part
	add := func(name string, wanted bool, run func(context.Context, func()) error) {
		if wanted {
			parts = append(parts, Part{name, run})
		}
	}
	add("admin", true, d.socket.Run)
	add("web", true, d.web.Run)
	add("health", d.health != nil, d.health.Run)
	add("nodes", d.nodes != nil, d.nodes.Run)
	add("pod-routes", d.podRoutes != nil, d.podRoutes.Run)
	add("guard", d.guard != nil, d.guard.Run)
	add("xdp", d.xdp != nil, d.xdp.Run)
	add("shield", d.shield != nil, d.shield.Run)
	add("l4", d.l4 != nil, d.l4.Run)
	// Before vip, so after it when all stops: its last transitions are told too.
	add("notify", d.teller != nil, d.teller.Run)
	add("bells", d.vip != nil, d.runBells)
	add("l7", d.l7 != nil, d.l7.Run)
	// After l7: what that closes at its end systemd shall keep.
	add("store", d.l7 != nil && d.notify.heard(), d.runStore)
	add("vip", d.vip != nil, d.vip.Run)
	add("history", true, d.runHistory)
	add("control", true, d.runControl)
	return parts
}

// runBells lets l4 and the notifier know that a group changed, l4 also where
// vip did not wait for it.
func (d *daemon) runBells(ctx context.Context, ready func()) error {
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.vip.Changed():
			if d.l4 != nil {
				d.l4.Kick()
			}
			d.teller.Kick()
		}
	}
}

// runControl reloads on SIGHUP, upgrades on SIGUSR2, and keeps systemd's
// watchdog quiet as long as every part answers. It starts last and stops first:
// a daemon that stops reloads nothing.
func (d *daemon) runControl(ctx context.Context, ready func()) error {
	tick, stop := d.notify.watchdog()
	defer stop()
	d.notify.alive() // the time since the latest tick of a predecessor counts
	ready()
	for {
		select {
		case <-ctx.Done():
			d.notify.stopping()
			return nil
		case <-d.opts.Reload:
			d.notify.reloading()
			if err := d.reload(); err != nil {
				d.logFaults(err)
			}
			d.notify.ready()
		case <-d.opts.Reopen:
			if d.l7 != nil {
				d.l7.Reopen()
			}
		case <-d.opts.Upgrade:
			err := d.upgrade(ctx)
			if errors.Is(err, errHandedOver) {
				return err
			}
			d.log.Error("upgrade refused, the running program stays", "err", err)
		case <-tick:
			// A part that is stuck behind a lock does not answer, and the
			// watchdog restarts the process.
			d.status()
			d.notify.alive()
		}
	}
}

func (d *daemon) logFaults(err error) {
	var faults config.Faults
	if !errors.As(err, &faults) {
		d.log.Error("reload refused, the running configuration stays", "err", err)
		return
	}
	for _, f := range faults {
		d.log.Error("reload refused, the running configuration stays",
			"file", f.Path, "line", f.Line, "column", f.Column, "key", f.Key, "problem", f.Problem)
	}
}
