package notify

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// farewell is how long what is pending at a stop has to get out.
const farewell = 2 * time.Second

// Options are what a Notifier needs.
type Options struct {
	Log *slog.Logger
	// Node is this node's name in every event.
	Node string
	// Recent returns the transitions in the groups' histories, each group's
	// oldest first. Node need not be set in them.
	Recent func() []Event
	// Send makes one attempt; nil means the package's Send.
	Send func(context.Context, Target, Event) error
}

// A Notifier sends each new transition to the targets that want it.
type Notifier struct {
	opts Options
	bell chan struct{} // Kick and Set ring it
	seen cursor        // Run's own

	mu      sync.Mutex
	targets []*target // in the order of the configuration
}

// New returns a Notifier that does nothing until Run.
func New(o Options) *Notifier {
	if o.Send == nil {
		o.Send = Send
	}
	return &Notifier{opts: o, bell: make(chan struct{}, 1), seen: cursor{}}
}

// Set replaces the targets. One that keeps its name keeps its queue and its
// counters. It may be called before and during Run.
func (n *Notifier) Set(c Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := make([]*target, 0, len(c.Targets))
	for _, cfg := range c.Targets {
		i := slices.IndexFunc(n.targets, func(t *target) bool { return t.name == cfg.Name })
		if i < 0 {
			next = append(next, newTarget(n.opts, cfg))
			continue
		}
		n.targets[i].set(cfg)
		next = append(next, n.targets[i])
	}
	n.targets = next
	ring(n.bell)
}

// Kick says that a group may have changed its state.
func (n *Notifier) Kick() { ring(n.bell) }

// Run sends until ctx ends. Transitions from before Run are history and not
// sent. After ctx has ended it looks for new ones a last time, and what is
// pending has two seconds to get out; the rest is given up and counted.
func (n *Notifier) Run(ctx context.Context, ready func()) error {
	n.seen.news(n.opts.Recent())
	ready()

	// The targets outlive ctx by the farewell.
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var wg sync.WaitGroup
	stops := map[*target]context.CancelFunc{}
	for ctx.Err() == nil {
		n.follow(sending, &wg, stops)
		n.spread()
		select {
		case <-ctx.Done():
		case <-n.bell:
		}
	}
	n.spread()
	for t := range stops {
		t.finish()
	}
	limit := time.AfterFunc(farewell, giveUp)
	defer limit.Stop()
	wg.Wait()
	return nil
}

// follow starts and stops goroutines until there is one for each target.
func (n *Notifier) follow(ctx context.Context, wg *sync.WaitGroup, stops map[*target]context.CancelFunc) {
	targets := n.list()
	for t, stop := range stops {
		if !slices.Contains(targets, t) {
			stop()
			delete(stops, t)
		}
	}
	for _, t := range targets {
		if stops[t] == nil {
			one, stop := context.WithCancel(ctx)
			stops[t] = stop
			wg.Go(func() { t.run(one) })
		}
	}
}

// spread hands each new transition to the targets.
func (n *Notifier) spread() {
	fresh, missed := n.seen.news(n.opts.Recent())
	for _, t := range n.list() {
		for group, count := range missed {
			t.miss(group, count)
		}
		for _, e := range fresh {
			e.Node = n.opts.Node
			t.offer(e)
		}
	}
}

func (n *Notifier) list() []*target {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.targets)
}

// TargetStatus is a snapshot of one target.
type TargetStatus struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Sent counts events that were delivered, Failed those whose last attempt
	// failed, Dropped those that were not tried to the end: newer ones took
	// their place, or the daemon stopped. Waiting ones are none of these yet.
	Sent    uint64 `json:"sent"`
	Failed  uint64 `json:"failed"`
	Dropped uint64 `json:"dropped"`
	Waiting int    `json:"waiting"`
	// LastError is why the latest attempt failed; empty when it did not.
	LastError string    `json:"last_error,omitempty"`
	LastSent  time.Time `json:"last_sent,omitzero"`
}

// Status returns the present state of all targets, in the order of the
// configuration.
func (n *Notifier) Status() []TargetStatus {
	var s []TargetStatus
	for _, t := range n.list() {
		s = append(s, t.status())
	}
	return s
}

// ring rings a bell of capacity one.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
