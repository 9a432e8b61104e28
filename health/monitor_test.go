package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/health"
)

// servers answers attempts as it is told and counts them.
type servers struct {
	mu    sync.Mutex
	down  map[netip.AddrPort]bool
	asked map[netip.AddrPort]int
	wants map[netip.AddrPort]int // percent; 100 where there is none
}

func newServers() *servers {
	return &servers{down: map[netip.AddrPort]bool{}, asked: map[netip.AddrPort]int{}, wants: map[netip.AddrPort]int{}}
}

func (s *servers) probe(_ context.Context, c health.Check) (health.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[c.Target]++
	if s.down[c.Target] {
		return health.Answer{}, errors.New("connection refused")
	}
	if percent, ok := s.wants[c.Target]; ok {
		return health.Answer{Percent: percent}, nil
	}
	return health.Answer{Percent: 100}, nil
}

// want has the server of c ask for less of its weight.
func (s *servers) want(c health.Check, percent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants[c.Target] = percent
}

func (s *servers) set(c health.Check, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[c.Target] = down
}

func (s *servers) count(c health.Check) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[c.Target]
}

func check(n int) health.Check {
	return health.Check{
		Kind:     health.TCP,
		Target:   netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:80", n/256, n%256)),
		Interval: 2 * time.Second,
		Timeout:  time.Second,
		Fall:     3,
		Rise:     2,
	}
}

// watch runs a monitor over s inside a synctest bubble; the returned function
// stops it and waits.
func watch(t *testing.T, s *servers) (m *health.Monitor, stop func()) {
	m = health.New(health.Options{Log: slog.New(slog.DiscardHandler), Probe: s.probe})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx, func() {}) }()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func rung(m *health.Monitor) bool {
	synctest.Wait()
	select {
	case <-m.Changed():
		return true
	default:
		return false
	}
}

func TestMonitorTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServers(), check(1)
		m, stop := watch(t, s)
		defer stop()

		if st := m.Snapshot().State(c); st != (health.State{}) {
			t.Fatalf("before it was asked: %+v", st)
		}
		m.Set([]health.Check{c})
		if !rung(m) || !m.Snapshot().State(c).Up {
			t.Fatalf("after the first answer: %+v", m.Snapshot().State(c))
		}

		s.set(c, true)
		began := time.Now()
		<-m.Changed()
		// Three failures, each interval 1.8 s to 2.2 s.
		if took := time.Since(began); took < 5400*time.Millisecond || took > 6600*time.Millisecond {
			t.Errorf("down after %v, want three intervals", took)
		}
		st := m.Snapshot().State(c)
		if st.Up || st.Reason != "connection refused" || st.Streak != -3 || !st.Since.Equal(time.Now()) {
			t.Errorf("down: %+v", st)
		}

		s.set(c, false)
		began = time.Now()
		<-m.Changed()
		if took := time.Since(began); took < 3600*time.Millisecond || took > 4400*time.Millisecond {
			t.Errorf("up after %v, want two intervals", took)
		}
	})
}

func TestMonitorAsksEqualChecksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServers(), check(1)
		m, stop := watch(t, s)
		defer stop()
		m.Set([]health.Check{c, c, c})
		time.Sleep(20 * time.Second)
		if n := s.count(c); n < 9 || n > 12 {
			t.Errorf("asked %d times in 10 intervals", n)
		}
	})
}

func TestMonitorSetKeepsWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stays, goes, comes := newServers(), check(1), check(2), check(3)
		m, stop := watch(t, s)
		defer stop()
		m.Set([]health.Check{stays, goes})
		time.Sleep(7 * time.Second)
		before := m.Snapshot()
		s.set(comes, true)

		m.Set([]health.Check{stays, comes})
		synctest.Wait()
		after := m.Snapshot()
		if got, want := after.State(stays), before.State(stays); got != want {
			t.Errorf("the check that stays: %+v, was %+v", got, want)
		}
		if got := after.State(goes); got != (health.State{}) {
			t.Errorf("the check that went: %+v", got)
		}
		if got := after.State(comes); got.Up || !got.Known {
			t.Errorf("the check that came: %+v", got)
		}
		if !before.State(goes).Known {
			t.Error("the older snapshot changed")
		}
		asked := s.count(goes)
		time.Sleep(10 * time.Second)
		if got := s.count(goes); got != asked {
			t.Errorf("a removed check was asked %d more times", got-asked)
		}
	})
}

// The answer to a check that went while it was asked is nobody's.
func TestMonitorDropsALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServers(), check(1)
		m := health.New(health.Options{Log: slog.New(slog.DiscardHandler), Probe: func(ctx context.Context, c health.Check) (health.Answer, error) {
			time.Sleep(500 * time.Millisecond)
			return s.probe(ctx, c)
		}})
		m.Set([]health.Check{c})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx, func() {}) }()
		time.Sleep(100 * time.Millisecond)
		m.Set(nil)
		time.Sleep(time.Minute)
		if n := s.count(c); n != 1 || rung(m) {
			t.Errorf("asked %d times", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestMonitorSpreadsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers()
		m, stop := watch(t, s)
		defer stop()
		var checks []health.Check
		for n := range 1000 {
			checks = append(checks, check(n))
		}
		m.Set(checks)
		asked := func() (n int) {
			for _, c := range checks {
				if m.Snapshot().State(c).Known {
					n++
				}
			}
			return n
		}
		synctest.Wait()
		if n := asked(); n > 10 {
			t.Errorf("%d of 1000 in the first instant", n)
		}
		time.Sleep(2 * time.Second) // an interval
		if n := asked(); n != 1000 {
			t.Errorf("%d of 1000 after one interval", n)
		}
	})
}

// A stop must not count as a failure of the servers that were being asked.
func TestMonitorStopIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := check(1)
		m := health.New(health.Options{
			Log: slog.New(slog.DiscardHandler),
			Probe: func(ctx context.Context, _ health.Check) (health.Answer, error) {
				<-ctx.Done()
				return health.Answer{}, ctx.Err()
			},
		})
		m.Set([]health.Check{c})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx, func() {}) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if st := m.Snapshot().State(c); st.Known {
			t.Errorf("after the stop: %+v", st)
		}
	})
}
