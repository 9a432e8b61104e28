package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const selector = "edgenode=true"

// An api is a cluster that a test changes, and the Source that reads it.
type api struct {
	changed chan struct{}

	mu      sync.Mutex
	nodes   []*corev1.Node
	synced  func()
	known   bool // has been read once
	problem string
	since   time.Time
}

func newAPI() *api { return &api{changed: make(chan struct{}, 1)} }

func (a *api) Run(ctx context.Context, ready func()) error {
	a.mu.Lock()
	a.synced = sync.OnceFunc(ready)
	if a.known {
		a.synced()
	}
	a.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (a *api) Changed() <-chan struct{} { return a.changed }

func (a *api) Nodes(s string) ([]*corev1.Node, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s != selector {
		return nil, false
	}
	return a.nodes, a.known
}

func (a *api) Status() (from, problem string, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "https://api", a.problem, a.since
}

// put changes the Nodes, or what hinders to read them.
func (a *api) put(problem string, nodes ...*corev1.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problem, a.since = problem, time.Time{}
	if problem != "" {
		a.since = time.Now()
		return
	}
	a.nodes, a.known = nodes, true
	a.changed <- struct{}{}
	if a.synced != nil {
		a.synced()
	}
}

// A run is a Follower that runs.
type run struct {
	*Follower
	t       *testing.T
	stop    func()
	ready   atomic.Bool
	applied atomic.Int32
}

func follow(t *testing.T, dir string, cfg Config) *run {
	r := &run{t: t}
	r.Follower = New(Options{
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
		StateFile: filepath.Join(dir, "nodes.json"),
		Apply:     func() { r.applied.Add(1) },
	})
	r.Set(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx, func() { r.ready.Store(true) }) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return r
}

// expect compares with "NAMES; ready or not; how often applied".
func (r *run) expect(when, want string) {
	r.t.Helper()
	synctest.Wait()
	if got := fmt.Sprintf("%s; ready %v; applied %d", strings.Join(names(r.Nodes()[selector]), " "), r.ready.Load(), r.applied.Load()); got != want {
		r.t.Errorf("%s: %s, want %s", when, got, want)
	}
}

func from(a *api, selectors ...string) Config {
	return Config{Selectors: selectors, Connect: func() (Source, error) { return a, nil }}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		one, two := node("edge-1", "10.0.0.1"), node("edge-2", "10.0.0.2")
		a.put("", one)
		r := follow(t, t.TempDir(), from(a, selector))
		r.expect("at first", "edge-1; ready true; applied 1")
		a.put("", one, two)
		r.expect("one more", "edge-1 edge-2; ready true; applied 2")
		a.put("", two, one)
		r.expect("the same", "edge-1 edge-2; ready true; applied 2")
		a.put("", node("edge-1", "10.0.0.1", cordoned), node("edge-2", "10.0.0.2", cordoned))
		r.expect("all cordoned", "edge-1 edge-2; ready true; applied 2")
		if s := r.Status().Selectors[0]; !s.Held || len(s.LeftOut) != 2 || len(s.Nodes) != 2 {
			t.Errorf("%+v", s)
		}
		a.put("", two)
		r.expect("one again", "edge-2; ready true; applied 3")

		other := newAPI()
		other.put("", one)
		r.Set(from(other, selector))
		r.expect("another cluster", "edge-1; ready true; applied 4")
		r.Set(Config{})
		r.expect("nothing to follow", "; ready true; applied 4")
		if s := r.Status(); s != nil {
			t.Errorf("status %+v", s)
		}
		r.stop()
	})
}

// TestOutage: while the API is away, and after a restart meanwhile, the last
// set stands and its age is known.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := newAPI()
		a.put("", node("edge-1", "10.0.0.1"))
		r := follow(t, dir, from(a, selector))
		time.Sleep(time.Hour)
		lost := time.Now()
		a.put("connection refused")
		time.Sleep(25 * time.Minute)
		r.expect("the API is away", "edge-1; ready true; applied 1")
		st := r.Status()
		if s := st.Selectors[0]; st.Error != "connection refused" || !s.Read.Equal(lost) {
			t.Errorf("error %q, read %v, want %v", st.Error, s.Read, lost)
		}
		r.stop()

		dead := newAPI()
		dead.put("connection refused")
		r = follow(t, dir, from(dead, selector))
		r.expect("started without the API", "edge-1; ready true; applied 0")
		if s := r.Status().Selectors[0]; !s.Read.Equal(lost) {
			t.Errorf("read %v, want %v", s.Read, lost)
		}
		// The first answer has none that can serve.
		dead.put("", node("edge-1", "10.0.0.1", ready("Unknown", "")))
		r.expect("the API is back before its Nodes are", "edge-1; ready true; applied 0")
		if s := r.Status().Selectors[0]; !s.Held || !s.Read.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		dead.put("", node("edge-2", "10.0.0.2"))
		r.expect("another Node", "edge-2; ready true; applied 1")
		r.stop()
	})
}

// TestKilled: what was read is on disk at once, and its age is never more than
// ten minutes too old.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := newAPI()
		a.put("", node("edge-1", "10.0.0.1"))
		r := follow(t, dir, from(a, selector))
		time.Sleep(time.Hour + 9*time.Minute)
		sets, err := readSets(filepath.Join(dir, "nodes.json"))
		if err != nil {
			t.Fatal(err)
		}
		if s := sets[selector]; len(s.Nodes) != 1 || time.Since(s.Read) > 10*time.Minute || time.Since(s.Changed) < time.Hour {
			t.Errorf("%+v", s)
		}
		a.put("", node("edge-2", "10.0.0.2"))
		r.expect("a change", "edge-2; ready true; applied 2")
		if sets, err = readSets(filepath.Join(dir, "nodes.json")); err != nil || names(sets[selector].Nodes)[0] != "edge-2" {
			t.Errorf("on disk are %+v, %v", sets, err)
		}
		r.stop()
	})
}

// TestPatience: where nothing is known others wait for the API, but not for
// long.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		a.put("connection refused")
		r := follow(t, t.TempDir(), from(a, selector))
		time.Sleep(4 * time.Second)
		r.expect("early", "; ready false; applied 0")
		time.Sleep(2 * time.Second)
		r.expect("late", "; ready true; applied 0")
		if s := r.Status().Selectors[0]; !s.Read.IsZero() || s.Nodes != nil {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

// TestConnectAgain: credentials that come late, as a mount may, are found.
func TestConnectAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		a.put("", node("edge-1", "10.0.0.1"))
		var mounted atomic.Bool
		r := follow(t, t.TempDir(), Config{Selectors: []string{selector}, Connect: func() (Source, error) {
			if !mounted.Load() {
				return nil, errors.New("l7.kubernetes: no such file")
			}
			return a, nil
		}})
		time.Sleep(time.Minute)
		if s := r.Status(); s.Error != "l7.kubernetes: no such file" || time.Since(s.ErrorSince) != time.Minute {
			t.Errorf("%+v", s)
		}
		mounted.Store(true)
		time.Sleep(5 * time.Second)
		r.expect("they are there", "edge-1; ready true; applied 1")
		if s := r.Status(); s.Error != "" || s.From != "https://api" {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

// TestLostState: a file that cannot be read costs what it held, and nothing else.
func TestLostState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nodes.json"), []byte(`{"version":1,"selectors":{"edgenode=true":{"nodes":[{"addresses":["::1"]}]}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		f := New(Options{Log: slog.New(slog.NewTextHandler(io.MultiWriter(&log, t.Output()), nil)), StateFile: filepath.Join(dir, "nodes.json")})
		if !strings.Contains(log.String(), "last known nodes are lost") || len(f.Nodes()) != 0 {
			t.Errorf("%s%v", log.String(), f.Nodes())
		}
	})
}
