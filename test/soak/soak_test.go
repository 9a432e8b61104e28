package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const (
	// patience is for what takes moments, on a machine that emulates another.
	patience = 60 * time.Second
	// probeEvery is how often the client makes a request.
	probeEvery = 20 * time.Millisecond
)

// A soak is one run.
type soak struct {
	*testing.T
	edge *edge.Edge
	rand *rand.Rand
	// guest says that the whole machine is ours: its clock and its memory too.
	guest bool
	// idle and slow are how many connections a crowd has.
	idle, slow int
	// pods counts those that were ever started.
	pods int
}

func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("PORTICO_SOAK"))
	if err != nil {
		t.Skip("takes long: set PORTICO_SOAK=20m, or make soak")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PORTICO_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	s := &soak{T: t, rand: rand.New(rand.NewPCG(seed, 0)), guest: os.Getenv("PORTICO_VM") == "1", idle: 10000, slow: 1000, pods: 3}
	o := edge.Options{Dataplane: "xdp"}
	if s.guest { // emulated, with 2 GiB of memory
		o.Dataplane, s.idle, s.slow = "", 500, 50
	}
	t.Logf("%v with PORTICO_SEED=%d, dataplane %q", length, seed, o.Dataplane)
	s.run(o, length)
}

// run brings fault after fault over an edge until the time is over.
func (s *soak) run(o edge.Options, length time.Duration) {
	s.edge = edge.New(s.T, lab.New(s.T), o)
	for _, n := range s.edge.Nodes {
		s.smallDisk(n)
		n.RewriteConfig(observed)
	}
	s.edge.Start()
	s.edge.WaitReady(patience)
	owners := s.watchOwners()
	defer owners.stop()

	before := s.held()
	faults := s.faults()
	begun := time.Now()
	counts := map[string]int{}
	for round := 1; time.Since(begun) < length && !s.Failed(); round++ {
		// All of them, in an order drawn anew each time.
		f := faults[(round-1)%len(faults)]
		if (round-1)%len(faults) == 0 {
			s.rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
			f = faults[0]
		}
		n := s.edge.Nodes[s.rand.IntN(len(s.edge.Nodes))]
		s.Logf("%v: %d: %s on %s, owner %v", time.Since(begun).Round(time.Second), round, f.name, n, s.edge.Holders())
		s.suffer(f, n, owners)
		counts[f.name]++
	}
	s.Logf("faults: %v", counts)
	if !s.Failed() {
		s.unchanged(before)
	}
}

// suffer has one fault come and go under load, and judges what a client saw.
func (s *soak) suffer(f fault, n *edge.Node, owners *owners) {
	probe := s.edge.Client.Probe(probeEvery, s.edge.Request())
	begun := time.Now()
	s.answers(probe, 20)
	var costs []lab.Gap // when requests may fail
	for _, step := range []func(*edge.Node){f.come, f.back} {
		from := time.Since(begun)
		owners.excuse(f, n)
		step(n)
		costs = append(costs, lab.Gap{From: from - f.costs, To: time.Since(begun) + f.costs})
		if f.costs > 0 {
			wait(f.costs)
		}
		s.answers(probe, 20)
	}
	s.edge.WaitReady(2 * patience)
	owners.excuse(fault{}, nil)
	s.answers(probe, 20)
	tl := probe.Stop()
	for _, a := range tl.Failed() {
		excused := false
		for _, c := range costs {
			excused = excused || f.costs > 0 && a.Sent >= c.From && a.Sent <= c.To
		}
		if !excused {
			s.Errorf("%s on %s (from %v): a request sent at %v failed: %v", f.name, n, costs, a.Sent, a.Err)
			return
		}
	}
	s.Logf("    %v", tl)
	for _, n := range s.edge.Nodes {
		for _, p := range []*edge.Process{n.Director, n.Proxy} {
			if !p.Running() {
				s.Fatalf("%s: a process of %s has ended:\n%s", f.name, n, tail(p.Log()))
			}
			if log := p.Log(); strings.Contains(log, "panic:") || strings.Contains(log, "DATA RACE") {
				s.Fatalf("%s: %s panicked:\n%s", f.name, n, tail(log))
			}
		}
	}
}

// answers waits until a prober has had more answers.
func (s *soak) answers(p *lab.Prober, more int) {
	s.Helper()
	from := p.OK()
	lab.Eventually(s.T, patience, "more answers", func() error {
		if got := p.OK() - from; got < more {
			return fmt.Errorf("%d of %d", got, more)
		}
		return nil
	})
}

// observed adds to a configuration what can fill a disk.
func observed(text string) string {
	return text + "\n[l7.access_log]\nfile = \"" + stateDir(text) + "/access.log\"\nrotate = { size = \"1MB\", keep = 2 }\n"
}

// stateDir is where a configuration says that the proxy writes.
func stateDir(text string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "state_dir  = "); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	panic("no state_dir in the laboratory's configuration")
}

func tail(text string) string {
	if len(text) > 5000 {
		text = text[len(text)-5000:]
	}
	return text
}
