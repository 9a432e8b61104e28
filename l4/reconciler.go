package l4

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/portico-lb/portico/health"
)

const (
	// every is how often the dataplane is read when nothing happens, to put
	// right what another tool changed. Reading is one dump of the kernel; an
	// owner without its services answers everything itself meanwhile, and
	// resets what lives elsewhere.
	every = 3 * time.Second
	// step is how often, while a server comes up slowly.
	step = time.Second
	// again is how soon a pass that ended with an error is repeated; the
	// wait then doubles, to slowest.
	again   = time.Second
	slowest = 10 * time.Second
)

// Options are what a Reconciler needs.
type Options struct {
	Log       *slog.Logger
	Dataplane Dataplane
	// Accelerator carries packets before Dataplane sees them. It may be nil.
	Accelerator Accelerator
	// Health returns what is known about the servers.
	Health func() *health.Snapshot
	// HealthChanged rings when a verdict has changed. It may be nil.
	HealthChanged <-chan struct{}
	// Owned reports whether an address is this node's to balance. It is asked
	// in the first pass already, and a service of ours whose address it denies
	// goes: after a restart it must know what the daemon before it owned.
	Owned func(netip.Addr) bool
	// StateFile remembers what was programmed; it belongs under /run.
	StateFile string
	// DrainFile keeps the targets of Drain, there too.
	DrainFile string
}

// A Reconciler keeps a dataplane as the configuration, health and ownership
// want it.
type Reconciler struct {
	opt  Options
	bell chan struct{}
	// pass has room for the one goroutine that uses the dataplane and what
	// is remembered between passes. It is a channel so that a wait for it
	// can be given up.
	pass  chan struct{}
	known memory

	mu   sync.Mutex
	cfg  Config
	view view
	// drains are nil until they were read from the drain file, and then never
	// changed in place.
	drains Drains
	// orders are the latest that changed drains, oldest first, and ordered how
	// many there were.
	orders  []DrainOrder
	ordered uint64
}

// New returns a Reconciler that touches nothing until Run or Sync.
func New(o Options) *Reconciler {
	return &Reconciler{
		opt:   o,
		bell:  make(chan struct{}, 1),
		pass:  make(chan struct{}, 1),
		known: memory{bases: map[ServerKey]int{}, missing: map[string]bool{}},
	}
}

// Set replaces the configuration. It may be called before and during Run.
func (r *Reconciler) Set(cfg Config) {
	r.mu.Lock()
	r.cfg = cfg
	r.mu.Unlock()
	r.Kick()
}

// Kick makes Run reconcile soon.
func (r *Reconciler) Kick() {
	select {
	case r.bell <- struct{}{}:
	default: // already rung
	}
}

// Sync reconciles now and returns when the dataplane is as it should be, or
// with the reason why not. It works whether Run runs or not.
func (r *Reconciler) Sync(ctx context.Context) error {
	select {
	case r.pass <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.pass }()
	return r.reconcile()
}

// Run reconciles at each event, and at least every three seconds, until ctx
// ends. It is ready after the first pass, whatever that came to: a kernel
// that is not ready yet is tried again, and is no reason to keep the rest of
// the daemon from starting. What stands in the dataplane at the end stays.
func (r *Reconciler) Run(ctx context.Context, ready func()) error {
	err := r.Sync(ctx)
	ready()
	pause := r.pause(err, 0)
	wait := time.NewTimer(pause)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.bell:
		case <-r.opt.HealthChanged:
		case <-wait.C:
		}
		failed := err != nil
		if err = r.Sync(ctx); !failed {
			pause = 0
		}
		pause = r.pause(err, pause)
		wait.Reset(pause)
	}
}

// pause returns how long to wait after a pass that ended with err, and where
// the one before it failed as well, came after a wait of latest.
func (r *Reconciler) pause(err error, latest time.Duration) time.Duration {
	if err != nil {
		return min(max(again, 2*latest), slowest)
	}
	r.mu.Lock()
	cfg := r.cfg
	r.mu.Unlock()
	if ramping(cfg, Inputs{Now: time.Now(), Health: r.opt.Health()}) {
		return step
	}
	return every
}
