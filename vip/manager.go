package vip

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/announce"
	"github.com/portico-lb/portico/vip/probe"
	"github.com/portico-lb/portico/vip/track"
)

// Options are what a Manager needs for life.
type Options struct {
	Log *slog.Logger
	// StateDir is where the Manager notes what it changed in the kernel, so
	// that a later process can undo it: /run/portico.
	StateDir string
	// Sync is called after ownership changed in the snapshot, with the new
	// addresses up and the old ones not yet down, and returns when those who
	// depend on it have applied it. Its context ends after 500 ms. May be nil.
	Sync func(ctx context.Context)
}

func (o Options) memoryFile() string { return filepath.Join(o.StateDir, "vip.json") }

// Manager keeps the virtual addresses of this node.
type Manager struct {
	opts    Options
	changed chan struct{} // bell for the consumer
	work    chan struct{} // bell for the keeper
	members chan struct{} // bell for Run: routers changed

	announcer *announce.Announcer
	tracker   *track.Tracker
	prober    *probe.Prober
	speech    *speech

	mu        sync.Mutex
	routers   []*router // in the order of the configuration
	syncs     map[string]*syncGroup
	lastError string
}

// New returns a Manager without groups that does nothing yet.
func New(o Options) *Manager {
	m := &Manager{opts: o, changed: make(chan struct{}, 1), work: make(chan struct{}, 1), members: make(chan struct{}, 1),
		announcer: announce.New(o.Log), tracker: track.New(track.Options{Log: o.Log}), prober: probe.New(o.Log)}
	m.speech = newSpeech(o.Log, m.list)
	return m
}

// Set replaces the configuration. Groups that stay the same router keep their
// state and timers. It may be called before and during Run; before Run it
// already looks whether the addresses stand on their interface, so that Owns
// tells the truth to those who start earlier.
func (m *Manager) Set(c Config) {
	have, err := addr.Read()
	if err != nil {
		m.opts.Log.Warn("vip groups start without what the kernel has", "err", err)
	}
	var virtual []netip.Addr
	for _, g := range c.Groups {
		virtual = append(virtual, g.addrs()...)
	}

	m.mu.Lock()
	next := make([]*router, 0, len(c.Groups))
	for _, g := range c.Groups {
		i := slices.IndexFunc(m.routers, func(r *router) bool { old, _ := r.read(); return old.sameRouter(g) })
		if i >= 0 {
			next = append(next, m.routers[i])
		} else {
			holding := have.Holds(addr.Group{Interface: g.Interface, Addrs: g.Addresses})
			next = append(next, newRouter(m.opts.Log, g, holding, m.rang))
		}
		r := next[len(next)-1]
		r.set(g, virtual)
		if err == nil {
			r.setLink(have.Links[g.Interface])
		}
	}
	m.routers = next
	m.syncs = syncGroups(m.syncs, next)
	m.mu.Unlock()
	m.follow(c)

	ring(m.members)
	m.rang()
}

// rang tells keeper and consumer that a view changed.
func (m *Manager) rang() {
	ring(m.work)
	ring(m.speech.bell)
	ring(m.changed)
}

func (m *Manager) list() []*router {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.routers)
}

// Run keeps the addresses until ctx ends. Then the groups resign (an advert of
// priority 0 comes first), and the addresses leave the interfaces; on lo they
// stay, since this node may be a backend of the next owner. It calls ready
// when the addresses stand on lo and VRRP is spoken.
func (m *Manager) Run(ctx context.Context, ready func()) error {
	memory, err := addr.Recall(m.opts.memoryFile())
	if err != nil {
		return err
	}
	k := newKeeper(m, memory)
	if err := k.first(ctx); err != nil {
		return err
	}

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// The keeper outlives the routers: it takes down what they release.
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	var watched, kept, tracked, said error
	wg.Go(func() {
		watched = addr.Watch(keep, k.noticed)
		fail(watched)
	})
	wg.Go(func() { m.announcer.Run(keep) })
	wg.Go(func() { m.prober.Run(keep) })
	wg.Go(func() { kept = k.run(keep) })
	wg.Go(func() { said = m.speech.run(keep) })

	// It ends with ctx: routers that resign are judged no more.
	wg.Go(func() {
		tracked = m.tracker.Run(ctx, func() {})
		fail(tracked)
	})

	m.steer(ctx, ready)
	stop()
	wg.Wait()
	return errors.Join(watched, kept, tracked, said)
}

// steer starts and stops routers as the configuration changes, and tells them
// what became of what they track, until ctx ends. It returns when all have
// resigned.
func (m *Manager) steer(ctx context.Context, ready func()) {
	stops := map[*router]func(){}
	defer func() { stopAll(stops) }()
	for first := true; ; first = false {
		want := m.list()
		gone := map[*router]func(){}
		for r, stop := range stops {
			if !slices.Contains(want, r) {
				gone[r] = stop
				delete(stops, r)
			}
		}
		stopAll(gone)
		m.judge(want) // before the start, which waits for what is not known yet
		for _, r := range want {
			if stops[r] == nil {
				stops[r] = start(ctx, r)
			}
		}
		if first {
			ready()
		}
		select {
		case <-ctx.Done():
			return
		case <-m.members:
		case <-m.tracker.Changed():
		}
	}
}

// start runs the router and returns how to stop it and wait for its end.
func start(ctx context.Context, r *router) func() {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// stopAll stops routers side by side, so that all priority 0 adverts leave at once.
func stopAll(stops map[*router]func()) {
	var wg sync.WaitGroup
	for _, stop := range stops {
		wg.Go(stop)
	}
	wg.Wait()
}
