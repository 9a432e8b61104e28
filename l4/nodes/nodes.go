// Package nodes knows which Nodes of a Kubernetes cluster can be servers now.
// It follows the cluster's API, and while that is away the last known Nodes
// stay, over restarts and boots too.
package nodes

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l4"
)

const (
	// patience is how long Run keeps others waiting for the first answer of the
	// API where nothing is known from an earlier run. Services that come later
	// cut what clients began with an owner that answered by itself.
	patience = 5 * time.Second
	// retry is how soon a source is tried again that could not be made.
	retry = 5 * time.Second
	// saveEvery is how far the time in the file may be behind.
	saveEvery = 10 * time.Minute
)

// A Source reads Nodes. It is made for some selectors.
type Source interface {
	// Run reads until ctx ends, and calls ready once it has read everything.
	Run(ctx context.Context, ready func()) error
	// Changed rings when Nodes has something new.
	Changed() <-chan struct{}
	// Nodes returns what a selector selects, and whether that is known.
	Nodes(selector string) (nodes []*corev1.Node, ok bool)
	// Status tells where Nodes are read, why they cannot be read now, and since
	// when.
	Status() (from, problem string, since time.Time)
}

// Options are what a Follower needs.
type Options struct {
	Log *slog.Logger
	// StateFile is where the Nodes outlive a boot.
	StateFile string
	// Apply is called after Nodes has changed.
	Apply func()
}

// A Config says which Nodes to follow.
type Config struct {
	Selectors []string
	// Connect makes the source for Selectors; it is not called for none.
	Connect func() (Source, error)
}

// A Follower keeps the Nodes of some selectors.
type Follower struct {
	opt Options
	set chan struct{} // rings for Run after Set

	mu     sync.Mutex
	cfg    Config
	sets   map[string]set
	source Source // nil while there is none
	// fault is why it cannot be made.
	fault      string
	faultSince time.Time
}

// New returns a Follower that knows what the state file says.
func New(o Options) *Follower {
	sets, err := readSets(o.StateFile)
	if err != nil {
		o.Log.Warn("last known nodes are lost", "err", err)
	}
	if sets == nil {
		sets = map[string]set{}
	}
	return &Follower{opt: o, set: make(chan struct{}, 1), sets: sets}
}

// Set replaces the configuration, and has the source made anew. It may be
// called before and during Run.
func (f *Follower) Set(cfg Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for selector := range f.sets {
		if !slices.Contains(cfg.Selectors, selector) {
			delete(f.sets, selector)
		}
	}
	f.cfg = cfg
	select {
	case f.set <- struct{}{}:
	default: // already told
	}
}

// Nodes returns the Nodes that can be servers, by selector and in order of
// their names.
func (f *Follower) Nodes() map[string][]l4.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := make(map[string][]l4.Node, len(f.sets))
	for selector, s := range f.sets {
		nodes[selector] = s.Nodes
	}
	return nodes
}

// Run follows until ctx ends. It is ready once there are Nodes for every
// selector or the API has been read, and after five seconds in any case.
func (f *Follower) Run(ctx context.Context, ready func()) error {
	ready = sync.OnceFunc(ready)
	defer time.AfterFunc(patience, ready).Stop()
	if f.tellKnown() {
		ready()
	}
	select {
	case <-f.set: // before Run
	default:
	}
	for ctx.Err() == nil {
		f.follow(ctx, ready)
	}
	f.save(time.Now())
	return nil
}

// tellKnown says what an earlier run knew, and returns whether it has Nodes for
// every selector.
func (f *Follower) tellKnown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for selector, s := range f.sets {
		f.opt.Log.Info("nodes as last known", "selector", selector, "nodes", names(s.Nodes), "read", s.Read)
	}
	return !slices.ContainsFunc(f.cfg.Selectors, func(s string) bool { return len(f.sets[s].Nodes) == 0 })
}

// follow takes what one source says, until ctx ends or Set was called.
func (f *Follower) follow(ctx context.Context, ready func()) {
	source, wait := f.connect()
	if source == nil {
		select {
		case <-ctx.Done():
		case <-f.set:
		case <-wait:
		}
		return
	}
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	synced := make(chan struct{})
	group.Go(func() {
		if err := source.Run(ctx, func() { close(synced) }); err != nil {
			f.opt.Log.Error("follow nodes", "err", err)
		}
	})
	f.listen(ctx, source, synced, ready)
}

// connect makes the source that is configured. Where there is none, wait says
// when to try again.
func (f *Follower) connect() (source Source, wait <-chan time.Time) {
	f.mu.Lock()
	cfg := f.cfg
	f.mu.Unlock()
	var err error
	if len(cfg.Selectors) > 0 {
		source, err = cfg.Connect() // reads files: nobody waits for that
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.source, f.fault, f.faultSince = source, "", time.Time{}
		return source, nil
	}
	f.source = nil
	if f.fault == "" {
		f.faultSince = time.Now()
	}
	if f.fault != err.Error() {
		f.fault = err.Error()
		f.opt.Log.Warn("nodes cannot be followed, the last known ones stay", "err", err)
	}
	return nil, time.After(retry)
}

// listen takes what source says.
func (f *Follower) listen(ctx context.Context, source Source, synced <-chan struct{}, ready func()) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.set:
			return
		case <-synced:
			synced = nil
			f.read(source)
			ready()
		case <-source.Changed():
			f.read(source)
		case <-tick.C:
			f.save(time.Now())
		}
	}
}

// read takes what source knows now, and tells of it where it differs.
func (f *Follower) read(source Source) {
	now := time.Now()
	f.mu.Lock()
	apply := false
	for _, selector := range f.cfg.Selectors {
		all, ok := source.Nodes(selector)
		if !ok {
			continue
		}
		before := f.sets[selector]
		s, changed := before.next(all, now)
		f.sets[selector] = s
		apply = apply || changed

		log := f.opt.Log.With("selector", selector, "nodes", names(s.Nodes), "left_out", s.out)
		switch {
		case changed:
			log.Info("nodes changed")
		case s.held && !before.held:
			log.Warn("none of the nodes can serve any more, the last ones stay")
		case before.held && !s.held:
			log.Info("nodes can serve again")
		}
	}
	f.mu.Unlock()
	if apply {
		f.save(now)
		f.opt.Apply()
	}
}

// save writes the state file. Nobody waits for the disk meanwhile.
func (f *Follower) save(now time.Time) {
	f.mu.Lock()
	f.touch(now)
	sets := maps.Clone(f.sets)
	f.mu.Unlock()
	if err := writeSets(f.opt.StateFile, sets); err != nil {
		f.opt.Log.Warn("nodes cannot be remembered for the next start", "err", err)
	}
}

// touch notes that the API has just been read, or when it last was: one that is
// not heard of has nothing new. f.mu is held.
func (f *Follower) touch(now time.Time) {
	if f.source == nil {
		return
	}
	if _, problem, since := f.source.Status(); problem != "" {
		now = since
	}
	for selector, s := range f.sets {
		if _, ok := f.source.Nodes(selector); ok && now.After(s.Read) {
			s.Read = now
			f.sets[selector] = s
		}
	}
}

func names(nodes []l4.Node) []string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.Name
	}
	return all
}
