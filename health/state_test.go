package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/health"
)

// runOnce runs a monitor of the checks for a while.
func runOnce(t *testing.T, file string, s *servers, span time.Duration, checks ...health.Check) *health.Monitor {
	t.Helper()
	m := health.New(health.Options{Log: slog.New(slog.DiscardHandler), Probe: s.probe, StateFile: file})
	m.Set(checks)
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	if err := m.Run(ctx, func() {}); err != nil {
		t.Fatal(err)
	}
	return m
}

// known returns what a monitor knows before it asked anybody.
func known(file string, checks ...health.Check) *health.Snapshot {
	m := health.New(health.Options{Log: slog.New(slog.DiscardHandler), StateFile: file})
	m.Set(checks)
	return m.Snapshot()
}

func TestStatesOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "health.json")
		s, up, down, never := newServers(), check(1), check(2), check(3)
		s.set(down, true)
		up.Kind, up.HTTP = health.HTTP, health.HTTPRequest{Header: "Authorization: Bearer secret\n"}
		before := runOnce(t, file, s, 10*time.Second, up, down).Snapshot()

		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "secret") {
			t.Fatalf("%s %v", text, err)
		}
		if left, err := filepath.Glob(file + ".*"); len(left) > 0 || err != nil {
			t.Errorf("left behind: %v %v", left, err)
		}

		slower := down // the same question
		slower.Interval, slower.Fall = 10*time.Second, 1
		now := known(file, up, slower, never)
		if got, want := now.State(up), before.State(up); !got.Known || !got.Up || !got.Since.Equal(want.Since) {
			t.Errorf("up before: %+v", got)
		}
		if got := now.State(slower); !got.Known || got.Up || got.Reason != "connection refused" {
			t.Errorf("down before: %+v", got)
		}
		if got := now.State(never); got.Known {
			t.Errorf("never asked: %+v", got)
		}

		time.Sleep(6 * time.Minute)
		if got := known(file, up).State(up); got.Known {
			t.Errorf("six minutes later: %+v", got)
		}
	})
}

// A process that is killed writes nothing at its end.
func TestStatesAreSavedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "health.json")
		s, c := newServers(), check(1)
		m := health.New(health.Options{Log: slog.New(slog.DiscardHandler), Probe: s.probe, StateFile: file})
		m.Set([]health.Check{c})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx, func() {}) }()
		time.Sleep(6 * time.Second)
		if got := known(file, c).State(c); !got.Up {
			t.Errorf("after six seconds: %+v", got)
		}
		s.set(c, true)
		time.Sleep(15 * time.Second)
		if got := known(file, c).State(c); !got.Known || got.Up {
			t.Errorf("down: %+v", got)
		}
		last := known(file, c).State(c).Last
		time.Sleep(2 * time.Minute)
		if got := known(file, c).State(c).Last; !got.After(last) {
			t.Errorf("not written again in two minutes: %v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestStateFileFaults(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"broken": `{"vers`, "other": `{"version":2,"checks":{"a":{"up":true}}}`} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		m := health.New(health.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), StateFile: file})
		m.Set([]health.Check{check(1)})
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), file+": ") || m.Snapshot().State(check(1)).Known {
			t.Errorf("%s: %s", name, &log)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m := runOnce(t, filepath.Join(dir, "no", "such"), newServers(), 10*time.Second, check(1))
		if !m.Snapshot().State(check(1)).Up {
			t.Error("without its file the monitor asks nobody")
		}
	})
}

func TestMonitorKeepsWhatItKnowsOfTheSameQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServers(), check(1)
		m, stop := watch(t, s)
		defer stop()
		m.Set([]health.Check{c})
		time.Sleep(5 * time.Second)
		before := m.Snapshot().State(c)
		faster := c
		faster.Interval, faster.Timeout, faster.Fall = time.Second, time.Second, 5
		m.Set([]health.Check{faster})
		if got := m.Snapshot().State(faster); got != before {
			t.Errorf("got %+v, want %+v", got, before)
		}
		asked := s.count(c)
		time.Sleep(20 * time.Second)
		if n := s.count(c) - asked; n < 18 || n > 23 {
			t.Errorf("asked %d times in 20 of the new intervals", n)
		}
	})
}

func TestMonitorRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		m := health.New(health.Options{
			Log: slog.New(slog.DiscardHandler),
			Probe: func(context.Context, health.Check) (health.Answer, error) {
				if refuse.Load() {
					return health.Answer{}, fmt.Errorf("connect: %w", syscall.ECONNREFUSED)
				}
				return health.Answer{}, nil
			},
		})
		atOnce, counted := check(1), check(2)
		counted.CountRefused = true
		m.Set([]health.Check{atOnce, counted})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx, func() {}) }()
		time.Sleep(10 * time.Second)
		refuse.Store(true)
		time.Sleep(2500 * time.Millisecond) // one or two attempts
		if s := m.Snapshot(); s.State(atOnce).Up || !s.State(counted).Up {
			t.Errorf("after one refusal: %+v, counted %+v", s.State(atOnce), s.State(counted))
		}
		cancel()
		<-done
	})
}

func TestMonitorStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := check(1), check(2)
		m := health.New(health.Options{
			Log: slog.New(slog.DiscardHandler),
			Probe: func(_ context.Context, c health.Check) (health.Answer, error) {
				time.Sleep(30 * time.Millisecond)
				if c == bad {
					return health.Answer{}, errors.New("no")
				}
				return health.Answer{}, nil
			},
		})
		m.Set([]health.Check{good, bad})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx, func() {}) }()
		time.Sleep(20 * time.Second)
		st := m.Status()
		cancel()
		<-done
		if len(st.Checks) != 2 || st.Checks[0].Name != bad.String() {
			t.Fatalf("%+v", st.Checks)
		}
		for _, c := range st.Checks {
			down := c.Name == bad.String()
			if c.Attempts < 9 || c.Attempts > 12 || c.Up == down || (c.Failures == c.Attempts) != down || c.Took != 30*time.Millisecond || c.Average != c.Took || c.Late != 0 {
				t.Errorf("%+v", c)
			}
		}
		if q := st.Lateness.Quantile(1); q != st.Lateness.Bounds()[0] {
			t.Errorf("lateness %v", q)
		}
	})
}

// A server that wants another weight rings as one that turns does, and what it
// wanted outlives the process.
func TestMonitorWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "health.json")
		s, c := newServers(), check(1)
		c.WeightFrom = "body"
		s.want(c, 30)
		if got := runOnce(t, file, s, 10*time.Second, c).Snapshot().State(c); got.Percent != 30 || !got.Up {
			t.Fatalf("%+v", got)
		}
		if got := known(file, c).State(c); got.Percent != 30 || !got.Up {
			t.Errorf("after a restart: %+v", got)
		}
		m, stop := watch(t, s)
		defer stop()
		m.Set([]health.Check{c})
		<-m.Changed()
		s.want(c, 80)
		<-m.Changed()
		if got := m.Snapshot().State(c); got.Percent != 80 || got.Weight(10) != 8 {
			t.Errorf("%+v", got)
		}
		time.Sleep(10 * time.Second)
		if rung(m) {
			t.Error("rung, and nothing changed")
		}
	})
}
