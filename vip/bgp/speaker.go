package bgp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/portico-lb/portico/vip/bgp/bfd"
)

const (
	// lookEvery is how often the sessions' figures are read when nothing rings.
	lookEvery = 2 * time.Second
	// farewell is how long routers have to act on a withdrawal before the
	// sessions end.
	farewell = 250 * time.Millisecond
)

// Speaker announces routes to neighbors.
type Speaker struct {
	log     *slog.Logger
	inputs  chan struct{} // bell: config changed
	events  chan struct{} // bell: a session changed
	changed chan struct{} // bell for the consumer
	lines   *bfd.Watcher

	mu       sync.Mutex
	config   Config
	sessions map[netip.Addr]Session
	lastErr  string
}

// New returns a Speaker that says nothing yet.
func New(log *slog.Logger) *Speaker {
	return &Speaker{log: log, inputs: make(chan struct{}, 1), events: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		lines: bfd.New(log), sessions: map[netip.Addr]Session{}}
}

// Set replaces what is said. Sessions whose neighbor did not change go on.
func (s *Speaker) Set(c Config) {
	s.mu.Lock()
	s.config = c
	s.mu.Unlock()
	ring(s.inputs)
}

// Changed rings after the state of a session changed; for one consumer.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Run speaks until ctx ends. Then it withdraws all routes, leaves the routers a
// moment to act on it, and ends the sessions.
func (s *Speaker) Run(ctx context.Context, ready func()) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	// Lines are watched to the end of the sessions.
	watch, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	watching.Go(func() { s.lines.Run(watch) })
	var gobgp process
	have := plan{}
	failed := false // gobgp would not start
	timer := time.NewTicker(lookEvery)
	defer timer.Stop()
	defer func() { s.end(gobgp, have) }()
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.inputs:
			want := newPlan(s.read())
			s.lines.Set(want.lines())
			if gobgp.BgpServer != nil && (!want.speaks() || !have.sameSpeaker(want)) {
				s.end(gobgp, have)
				gobgp, have = process{}, plan{}
			}
			if gobgp.BgpServer == nil && want.speaks() {
				var err error
				gobgp, err = s.begin(ctx, want)
				if failed = err != nil; failed {
					s.fault(err)
					continue
				}
			}
			if gobgp.BgpServer != nil {
				s.fault(errors.Join(gobgp.apply(ctx, diff(have, want), want)...))
			}
			have = want
		case <-s.events:
		case <-s.lines.Changed():
		case <-timer.C:
			if failed {
				ring(s.inputs)
			}
		}
		s.look(ctx, gobgp, have)
	}
}

func (s *Speaker) read() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// begin starts gobgp, whose sessions ring the bell.
func (s *Speaker) begin(ctx context.Context, want plan) (process, error) {
	p, err := newProcess(ctx, s.log, want)
	if err != nil {
		return process{}, err
	}
	ctx, p.deaf = context.WithCancel(ctx)
	err = p.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(*apiutil.WatchEventMessage_PeerEvent, time.Time) { ring(s.events) },
	}, server.WatchPeer())
	if err != nil {
		p.deaf()
		p.Stop()
		return process{}, err
	}
	return p, nil
}

// end withdraws everything and ends the sessions. There is no way to see that
// routers have acted on it, so they get a moment.
func (s *Speaker) end(p process, have plan) {
	if p.BgpServer == nil {
		return
	}
	gone := diff(have, have.withdrawn())
	s.fault(errors.Join(p.apply(context.Background(), gone, have)...))
	if len(gone.withdraw) > 0 {
		time.Sleep(farewell)
	}
	p.deaf()
	p.Stop()
	s.mu.Lock()
	s.sessions = map[netip.Addr]Session{}
	s.mu.Unlock()
	ring(s.changed)
}

// fault records err, and logs it when it is news. Nil clears it.
func (s *Speaker) fault(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	news := s.lastErr != text
	s.lastErr = text
	s.mu.Unlock()
	if news && err != nil {
		s.log.Error("routes not announced as wanted", "err", err)
	}
}

// ring rings a bell of capacity one.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
