package health

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// spread is how far apart the first attempts of checks that begin together
// are, so that a thousand checks do not all dial in the same instant.
const spread = 10 * time.Millisecond

// Options are what a Monitor needs.
type Options struct {
	Log *slog.Logger
	// Probe makes one attempt; nil means the package's Probe.
	Probe func(context.Context, Check) error
}

// A Monitor asks a set of checks over and over.
type Monitor struct {
	log   *slog.Logger
	probe func(context.Context, Check) error
	// rung tells Run that Set was called, changed tells the consumer that a
	// verdict changed; both have room for one.
	rung, changed chan struct{}

	mu sync.Mutex
	// states has a key for every check in the set, and no other.
	states map[Check]State
	// snapshot is the published copy of states, nil when it is out of date.
	// It is made when asked for: answers come much more often than readers.
	snapshot *Snapshot
}

// New returns a Monitor that does nothing until Run.
func New(o Options) *Monitor {
	if o.Probe == nil {
		o.Probe = Probe
	}
	return &Monitor{
		log:     o.Log,
		probe:   o.Probe,
		rung:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		states:  map[Check]State{},
	}
}

// Set replaces the set of checks. Those that stay keep their state and their
// rhythm; duplicates are asked once. It may be called before and during Run.
func (m *Monitor) Set(checks []Check) {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make(map[Check]State, len(checks))
	for _, c := range checks {
		states[c] = m.states[c]
	}
	m.states, m.snapshot = states, nil
	ring(m.rung)
}

// Snapshot returns what is known now.
func (m *Monitor) Snapshot() *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snapshot == nil {
		m.snapshot = NewSnapshot(maps.Clone(m.states))
	}
	return m.snapshot
}

// Changed rings after a verdict has changed. It has one consumer.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Run asks until ctx ends and every attempt has returned. It is ready at
// once: nobody should wait for servers to answer.
func (m *Monitor) Run(ctx context.Context, ready func()) error {
	var asking sync.WaitGroup
	defer asking.Wait()

	ready()
	stops := map[Check]context.CancelFunc{}
	for {
		m.follow(ctx, &asking, stops)
		select {
		case <-m.rung:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow starts and stops goroutines until there is one for each check in the
// set.
func (m *Monitor) follow(ctx context.Context, asking *sync.WaitGroup, stops map[Check]context.CancelFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c, stop := range stops {
		if _, ok := m.states[c]; !ok {
			stop()
			delete(stops, c)
		}
	}
	var begun time.Duration
	for c := range m.states {
		if stops[c] != nil {
			continue
		}
		// The wait never exceeds one interval, whatever the number.
		wait := begun * spread % c.Interval
		begun++
		one, stop := context.WithCancel(ctx)
		stops[c] = stop
		asking.Go(func() { m.ask(one, c, wait) })
	}
}

// ask makes attempts at c until ctx ends, the first after wait.
func (m *Monitor) ask(ctx context.Context, c Check, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(jittered(c.Interval, rand.Float64()))
		err := m.probe(ctx, c)
		if ctx.Err() != nil {
			return // stopped: the attempt says nothing about the server
		}
		m.record(ctx, c, err)
	}
}

// jittered moves an interval by up to a tenth either way, r being in [0, 1).
// Without it the checks of many nodes fall into step and hit a server in
// bursts.
func jittered(interval time.Duration, r float64) time.Duration {
	return time.Duration(float64(interval) * (0.9 + 0.2*r))
}

func (m *Monitor) record(ctx context.Context, c Check, err error) {
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// Set may have dropped the check while its attempt was on the way.
	have, ok := m.states[c]
	if !ok || ctx.Err() != nil {
		return
	}
	now := judge(have, c, time.Now(), failure)
	m.states[c], m.snapshot = now, nil
	if now.Up == have.Up && now.Known == have.Known {
		return
	}
	ring(m.changed)
	if now.Up {
		m.log.Info("check up", "check", c.String())
	} else {
		m.log.Warn("check down", "check", c.String(), "reason", now.Reason)
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
