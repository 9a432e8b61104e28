package guard

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/l4"
)

// every is how often the table is read when nothing happens, to put right what
// another tool changed and to follow the neighbours.
const every = 3 * time.Second

// Options are what a Guard needs.
type Options struct {
	Log *slog.Logger
	// Peers returns the other routers that VRRP knows of. It may be nil.
	Peers func() []netip.Addr
}

// A Guard keeps the kernel's table as configuration and neighbours want it.
type Guard struct {
	opt  Options
	bell chan struct{}
	// Of Run alone: how the peers were known, what the latest pass without an
	// error wanted, and the text of the latest error, logged once and not again
	// until it changes.
	latest map[netip.Addr]Neighbor
	table  Table
	fault  string

	mu     sync.Mutex
	cfg    l4.Config
	status Status
}

// A Status is what a Guard did and found.
type Status struct {
	// On tells whether the table stands: the configuration wants the guard, and
	// this node is a server of a service by direct routing.
	On bool `json:"on"`
	// Services is how many virtual services are guarded.
	Services int `json:"services"`
	// Packets of peers were delivered here past IPVS since the table was made.
	Packets uint64 `json:"packets"`
	// Peers are in ascending order of their addresses.
	Peers     []Peer `json:"peers,omitempty"`
	LastError string `json:"last_error,omitempty"`
}

// New returns a Guard that touches nothing until Run.
func New(o Options) *Guard {
	return &Guard{opt: o, bell: make(chan struct{}, 1), latest: map[netip.Addr]Neighbor{}}
}

// Set replaces the configuration. It may be called before and during Run.
func (g *Guard) Set(cfg l4.Config) {
	g.mu.Lock()
	g.cfg = cfg
	g.mu.Unlock()
	select {
	case g.bell <- struct{}{}:
	default: // already rung
	}
}

// Status reports what the latest pass came to.
func (g *Guard) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Run keeps the table until ctx ends, and is ready after the first pass,
// whatever that came to: without the guard there is still the first line. The
// table stays when it ends, as the services do.
func (g *Guard) Run(ctx context.Context, ready func()) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		g.pass()
		ready()
		select {
		case <-ctx.Done():
			return nil
		case <-g.bell:
		case <-tick.C:
		}
	}
}

// pass brings the kernel's table to what is wanted, once.
func (g *Guard) pass() {
	g.mu.Lock()
	cfg := g.cfg
	g.mu.Unlock()
	status, err := g.reconcile(cfg)
	text := ""
	if err != nil {
		text = err.Error()
	}
	status.LastError = text
	g.mu.Lock()
	g.status = status
	g.mu.Unlock()
	switch {
	case text == g.fault:
	case text != "":
		g.opt.Log.Warn("no guard against packets that bounce between directors", "err", err)
	default:
		g.opt.Log.Info("guard works again")
	}
	g.fault = text
}

func (g *Guard) reconcile(cfg l4.Config) (Status, error) {
	host, err := readHost()
	if err != nil {
		return Status{}, err
	}
	var also []netip.Addr
	if g.opt.Peers != nil {
		also = g.opt.Peers()
	}
	table, peers := want(cfg, also, host, g.latest)
	g.follow(peers, host)
	have, err := read()
	if err != nil {
		if table.empty() {
			return Status{Peers: peers}, nil // a kernel without nf_tables is fine, then
		}
		return Status{Peers: peers}, err
	}
	if change := Diff(have, table); !change.None() {
		if err := apply(change); err != nil {
			return Status{Peers: peers}, err
		}
		g.tell(table, change)
		if change.Delete {
			have.Packets = 0
		}
	}
	g.table = table
	return Status{On: !table.empty(), Services: len(table.Services), Packets: have.Packets, Peers: peers}, nil
}

// tell logs a change that was made.
func (g *Guard) tell(table Table, change Change) {
	log := g.opt.Log.With("peers", len(table.Peers), "services", len(table.Services))
	if same := slices.Equal(table.Peers, g.table.Peers) && slices.Equal(table.Services, g.table.Services); same && !table.empty() {
		log.Warn("guard was changed by another tool, putting it right", "whole", change.Create)
		return
	}
	log.Info("guard changes")
}

// follow remembers how the peers are known, and has the kernel ask for those
// that it does not know or has not heard of for a while.
func (g *Guard) follow(peers []Peer, host Host) {
	latest := map[netip.Addr]Neighbor{}
	for i, p := range peers {
		a := p.Address
		known := slices.IndexFunc(host.Neighbors, func(n Neighbor) bool { return n.Addr == a })
		if known >= 0 {
			latest[a] = host.Neighbors[known]
		} else if n, ok := g.latest[a]; ok {
			latest[a] = n
		}
		if known >= 0 && !latest[a].Stale {
			continue
		}
		via, err := resolve(a)
		switch {
		case p.LeftOut != unknown:
		case err != nil:
			peers[i].LeftOut = err.Error()
		case via.IsValid():
			peers[i].LeftOut = behind(via)
		}
	}
	g.latest = latest
}

// Flush removes the table. A Guard must not run beside it.
func Flush() error {
	have, err := read()
	if lacking(err) {
		return nil // then there is none
	}
	if err != nil || !have.Stands {
		return err
	}
	return apply(Change{Delete: true})
}
