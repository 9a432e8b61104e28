package podroutes

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/internal/rtnl"
)

const (
	// retry is how soon a source is tried again that could not be made.
	retry = 5 * time.Second
	// look is how often the kernel is read where nothing has rung.
	look = 10 * time.Second
)

// A Source reads all Nodes of a cluster.
type Source interface {
	// Run reads until ctx ends, and calls ready once it has read everything.
	Run(ctx context.Context, ready func()) error
	// Changed rings when Nodes has something new.
	Changed() <-chan struct{}
	// Nodes returns those that a selector selects, "" all of them, and whether
	// they are known.
	Nodes(selector string) (nodes []*corev1.Node, ok bool)
	// Status tells where Nodes are read, why they cannot be read now, and since
	// when.
	Status() (from, problem string, since time.Time)
}

// A Config says what to do. The zero one does nothing, and takes away what an
// earlier one did.
type Config struct {
	On bool
	// Withdraw has the routes leave when Run ends; else they stay for the next
	// start.
	Withdraw bool
	// Connect makes the source.
	Connect func() (Source, error)
}

// A Keeper keeps the routes.
type Keeper struct {
	log  *slog.Logger
	file string
	set  chan struct{} // rings for Run after Set

	mu  sync.Mutex
	cfg Config
	// nodes are the last known ones, nil as long as there are none; read is
	// when the API said so.
	nodes  []Node
	read   time.Time
	source Source
	fault  string // why there is no source
	routes []Route
	faults []Fault
}

// New returns a Keeper that remembers the Nodes in file over boots.
func New(log *slog.Logger, file string) *Keeper {
	k := &Keeper{log: log, file: file, set: make(chan struct{}, 1)}
	saved, err := readFile(file)
	if err != nil {
		log.Warn("last known nodes are lost", "err", err)
	}
	k.nodes, k.read = saved.Nodes, saved.Read
	return k
}

// Set replaces the configuration. It may be called before and during Run.
func (k *Keeper) Set(c Config) {
	k.mu.Lock()
	k.cfg = c
	k.mu.Unlock()
	ring(k.set)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}

// Run keeps the routes until ctx ends. It is ready once those of the last known
// Nodes stand.
func (k *Keeper) Run(ctx context.Context, ready func()) error {
	k.apply()
	ready()
	for ctx.Err() == nil {
		if k.config().On {
			k.follow(ctx)
			continue
		}
		// A node without such routes has no use for news of the kernel's.
		k.apply()
		select {
		case <-ctx.Done():
		case <-k.set:
		}
	}
	if k.config().Withdraw {
		return Flush()
	}
	return nil
}

func (k *Keeper) config() Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cfg
}

// listen rings when the kernel's routes change.
func (k *Keeper) listen(ctx context.Context, bell chan struct{}) {
	for ctx.Err() == nil {
		if err := rtnl.Watch(ctx, func() { ring(bell) }, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
			unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR); err != nil {
			k.log.Warn("changes of routes go unnoticed for a while", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// follow does what one configuration says, until there is another one.
func (k *Keeper) follow(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	kernel := make(chan struct{}, 1)
	group.Go(func() { k.listen(ctx, kernel) })
	source, again := k.connect()
	synced := make(chan struct{}, 1)
	var changed <-chan struct{}
	if source != nil {
		changed = source.Changed()
		group.Go(func() {
			if err := source.Run(ctx, func() { ring(synced) }); err != nil {
				k.log.Error("follow nodes", "err", err)
			}
		})
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		k.apply()
		select {
		case <-ctx.Done():
			return
		case <-k.set:
			return
		case <-again:
			return
		case <-synced:
			k.take(source)
		case <-changed:
			k.take(source)
		case <-kernel:
		case <-tick.C:
		}
	}
}

// connect makes the source. Where it cannot be made, again says when to try.
func (k *Keeper) connect() (source Source, again <-chan time.Time) {
	source, err := k.config().Connect()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.source, k.fault = source, ""
		return source, nil
	}
	k.source = nil
	if k.fault != err.Error() {
		k.fault = err.Error()
		k.log.Warn("nodes cannot be followed, the last known routes stay", "err", err)
	}
	return nil, time.After(retry)
}

// take takes the Nodes that source knows now. It never goes from some to none:
// that is trouble of the API more often than a cluster without Nodes.
func (k *Keeper) take(source Source) {
	all, ok := source.Nodes("")
	if !ok || len(all) == 0 {
		return
	}
	nodes := make([]Node, len(all))
	for i, n := range all {
		nodes[i] = ParseNode(n)
	}
	k.mu.Lock()
	k.nodes, k.read = nodes, time.Now()
	saved := saved{Nodes: nodes, Read: k.read}
	k.mu.Unlock()
	if err := saved.write(k.file); err != nil {
		k.log.Warn("nodes cannot be remembered for the next start", "err", err)
	}
}

// apply makes the kernel's routes those of the known Nodes.
func (k *Keeper) apply() {
	k.mu.Lock()
	on, nodes := k.cfg.On, k.nodes
	k.mu.Unlock()
	if on && nodes == nil {
		return // what an earlier run put there stays
	}
	local, err := Local()
	if err != nil {
		k.log.Warn("routes", "err", err)
		return
	}
	var want []Route
	var faults []Fault
	if on {
		want, faults = Want(nodes, local)
	}
	have, err := Read()
	if err != nil {
		k.log.Warn("routes", "err", err)
		return
	}
	ops, foreign := Diff(have, want)
	faults = append(faults, foreign...)
	for _, op := range ops {
		if err := Apply(op); err != nil {
			faults = append(faults, Fault{op.Node, op.Pods, err.Error()})
			continue
		}
		k.log.Info("route to pods changed", "route", op.String(), "node", op.Node)
	}
	k.tell(want, faults)
}

// tell publishes what stands and logs each fault once.
func (k *Keeper) tell(want []Route, faults []Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range faults {
		if !slices.Contains(k.faults, f) {
			k.log.Warn("pods of a node cannot be reached", "node", f.Node, "problem", f.Reason)
		}
	}
	k.routes = slices.DeleteFunc(want, func(r Route) bool {
		return slices.ContainsFunc(faults, func(f Fault) bool { return f.Pods == r.Pods })
	})
	k.faults = faults
}

// Flush removes every route that is ours.
func Flush() error {
	have, err := Read()
	if err != nil {
		return err
	}
	ops, _ := Diff(have, nil)
	for _, op := range ops {
		if err := Apply(op); err != nil {
			return err
		}
	}
	return nil
}
