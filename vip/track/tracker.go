package track

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Options are what a Tracker needs.
type Options struct{ Log *slog.Logger }

// A Tracker looks at a set of watches over and over.
type Tracker struct {
	log *slog.Logger
	// rung tells Run that Set was called, changed tells the consumer that a
	// watch changed; both have room for one.
	rung, changed chan struct{}

	mu    sync.Mutex
	ready netip.AddrPort
	// states has a key for every watch in the set, and no other.
	states map[Watch]State
}

// New returns a Tracker that does nothing until Run.
func New(o Options) *Tracker {
	return &Tracker{log: o.Log, rung: make(chan struct{}, 1), changed: make(chan struct{}, 1), states: map[Watch]State{}}
}

// Set replaces the rules, and says where the proxy on this node answers
// GET /ready. Watches that stay keep their state and rhythm, and those whose
// timing alone changes their state; a command that is no longer wanted is
// ended. It may be called before and during Run.
func (t *Tracker) Set(rules []Rule, ready netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make(map[Watch]State, len(rules))
	for _, r := range rules {
		states[r.Watch] = t.recall(r.Watch)
	}
	t.states, t.ready = states, ready
	ring(t.rung)
}

// recall returns what is known of the same subject. t.mu is held.
func (t *Tracker) recall(w Watch) State {
	if s, ok := t.states[w]; ok {
		return s
	}
	for o, s := range t.states {
		if o.about(w) {
			return s
		}
	}
	return State{}
}

// Snapshot returns what is known now.
func (t *Tracker) Snapshot() *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return NewSnapshot(maps.Clone(t.states))
}

// Changed rings after a watch has got its first result or another one, or
// fails for another reason. It has one consumer.
func (t *Tracker) Changed() <-chan struct{} { return t.changed }

// Run looks until ctx ends and every attempt has returned. It is ready when
// the interfaces are known; the others have no result then.
func (t *Tracker) Run(ctx context.Context, ready func()) error {
	outer := ctx
	ctx, fail := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer fail(nil)

	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("subscribe to interface changes: %w", err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	changes := make(chan linkChange)
	wg.Go(func() { fail(listen(ctx, s, changes)) })
	err = t.loop(ctx, ready, changes, &wg)
	if outer.Err() != nil {
		return nil
	}
	return err
}

// loop follows the set of rules and the interfaces, and returns why it ended.
func (t *Tracker) loop(ctx context.Context, ready func(), changes <-chan linkChange, wg *sync.WaitGroup) error {
	have, err := readLinks()
	if err != nil {
		return err
	}
	stops := map[Watch]context.CancelFunc{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.follow(ctx, wg, stops)
		timer.Stop()
		if due := t.judgeLinks(have); !due.IsZero() {
			timer.Reset(time.Until(due))
		}
		if ready != nil {
			ready()
			ready = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.rung:
		case <-timer.C:
		case c := <-changes:
			if c != (linkChange{}) {
				have.apply(c)
			} else if have, err = readLinks(); err != nil {
				return err
			}
		}
	}
}

// follow starts and stops goroutines until there is one for each watch that
// needs attempts.
func (t *Tracker) follow(ctx context.Context, wg *sync.WaitGroup, stops map[Watch]context.CancelFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w, stop := range stops {
		if _, ok := t.states[w]; !ok {
			stop()
			delete(stops, w)
		}
	}
	for w := range t.states {
		if w.Kind == Interface || stops[w] != nil {
			continue
		}
		one, stop := context.WithCancel(ctx)
		stops[w] = stop
		wg.Go(func() { t.ask(one, w) })
	}
}

// ask makes attempts until ctx ends.
func (t *Tracker) ask(ctx context.Context, w Watch) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		// Jitter keeps the nodes' commands from falling into step.
		timer.Reset(time.Duration(float64(w.Interval) * (0.95 + 0.1*rand.Float64())))
		t.mu.Lock()
		ready := t.ready
		t.mu.Unlock()
		r := w.attempt(ctx, ready)

		t.mu.Lock()
		// A stopped attempt says nothing.
		if s, ok := t.states[w]; ok && ctx.Err() == nil {
			t.update(w, s, w.next(s, time.Now(), r))
		}
		t.mu.Unlock()
	}
}

// judgeLinks updates the interfaces' states, and returns when the next of them
// counts as up again.
func (t *Tracker) judgeLinks(have links) (next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w, s := range t.states {
		if w.Kind != Interface {
			continue
		}
		now, due := w.nextLink(s, time.Now(), have.complaint(w.Subject))
		t.update(w, s, now)
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}

// update replaces a state, and tells what became different. t.mu is held.
func (t *Tracker) update(w Watch, old, now State) {
	t.states[w] = now
	if w.Kind == File && now.Reason != "" && now.Reason != old.Reason {
		t.log.Warn("tracked file not readable", "rule", w.String(), "reason", now.Reason, "counts_as", now.Value)
	}
	turned := old.Known != now.Known || old.Up != now.Up || old.Value != now.Value
	if turned || !now.Up && old.Reason != now.Reason {
		ring(t.changed)
	}
	switch {
	case !turned:
	case !now.Up:
		t.log.Warn("tracked rule fails", "rule", w.String(), "reason", now.Reason)
	case w.Kind == File:
		t.log.Info("tracked file read", "rule", w.String(), "number", now.Value)
	default:
		t.log.Info("tracked rule holds", "rule", w.String())
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
