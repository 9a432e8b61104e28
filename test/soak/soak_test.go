package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// A soak is one run.
type soak struct {
	*testing.T
	scale
	edge *edge.Edge
	rand *rand.Rand
	// guest says that the whole machine is ours: its clock and its memory too.
	guest  bool
	folder bool // routes come from manifests, not from an API server
	source source
	news   *news
	owners *owners
	record record
	// spared is the node whose processes are never ended.
	spared *edge.Node
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
	only, err := regexp.Compile(os.Getenv("PORTICO_FAULTS"))
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{T: t, scale: native, rand: rand.New(rand.NewPCG(seed, 0)), guest: os.Getenv("PORTICO_VM") == "1", pods: 3}
	s.folder = s.guest || os.Getenv("PORTICO_ROUTES") == "folder" // an emulated API server is too slow
	o := edge.Options{Dataplane: "xdp"}
	if s.guest {
		s.scale, o.Dataplane = guest, ""
	}
	o.Advert = s.advert
	s.build(o)
	t.Logf("%v with PORTICO_SEED=%d: dataplane %q, a folder of manifests %v, %d idle and %d slow connections, %s is spared",
		length, seed, o.Dataplane, s.folder, s.idle, s.slow, s.spared)
	s.run(length, only)
}

// build starts the edge and what feeds it.
func (s *soak) build(o edge.Options) {
	s.edge = edge.New(s.T, lab.New(s.T), o)
	s.spared = s.edge.Nodes[s.rand.IntN(len(s.edge.Nodes))]
	if s.folder {
		s.source = folder{s.edge}
	} else {
		s.source = s.startAPIServer()
	}
	if err := s.source.apply("service-web", edge.ServiceManifest("web", s.edge.Pod("web-1"), s.edge.Pod("web-2"), s.edge.Pod("web-3"))); err != nil {
		s.Fatal(err)
	}
	for _, n := range s.edge.Nodes {
		s.smallDisk(n)
		n.RewriteConfig(s.observed)
	}
	s.edge.Start()
	s.edge.WaitReady(s.patience)
}

// run brings fault after fault over an edge until the time is over.
func (s *soak) run(length time.Duration, only *regexp.Regexp) {
	faults := s.faults(only)
	s.record.faults = map[string]*tally{}
	s.record.begun = time.Now()
	s.owners, s.news = s.watchOwners(), s.makeNews()
	s.suffer(&fault{name: "nothing", come: func(*edge.Node) { wait(held) }}, s.spared) // fills pools
	before, err := s.held()
	if err != nil {
		s.Fatal(err)
	}
	var wg sync.WaitGroup
	end := make(chan struct{})
	wg.Go(func() { s.progress(end) })
	stop := sync.OnceFunc(func() {
		close(end)
		wg.Wait()
		s.news.stop()
		s.owners.stop()
	})
	defer s.report() // however it ends
	defer stop()

	for round := 0; time.Since(s.record.begun) < length; round++ {
		// All of them, in an order drawn anew each time.
		if round%len(faults) == 0 {
			s.rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		f := faults[round%len(faults)]
		nodes := s.edge.Nodes
		if f.ends {
			nodes = without(nodes, s.spared)
		}
		s.suffer(f, nodes[s.rand.IntN(len(nodes))])
	}
	stop()
	s.unchanged(before)
}

// suffer has one fault come and go under load, and judges what a client saw.
func (s *soak) suffer(f *fault, n *edge.Node) {
	s.record.mu.Lock()
	s.record.current = f.name
	s.record.mu.Unlock()
	request := s.edge.Request()
	request.Timeout = s.timeout
	probe := s.edge.Client.Probe(s.every, request)
	begun := time.Now()
	owner := s.edge.Holders()
	s.answers(probe)
	var gaps []lab.Gap // when requests may fail
	if f.twoOwners {
		s.owners.excuse(n)
	}
	for i, step := range []func(*edge.Node){f.come, f.back} {
		if step == nil {
			continue
		}
		from := time.Since(begun)
		step(n)
		if f.why != "" {
			s.inCharge(f, n, i == 0)
			gaps = append(gaps, lab.Gap{From: from, To: time.Since(begun)})
		}
		s.answers(probe)
		if i == 0 && f.back != nil {
			wait(held)
		}
	}
	s.edge.WaitReady(s.patience)
	s.owners.excuse(nil)
	s.news.known()
	s.answers(probe)
	s.judge(f, fmt.Sprintf("%s on %s, owner %v", f.name, n, owner), probe.Stop(), gaps)
	s.alive(f)
}

// inCharge waits until the nodes that are left do without n, or all are back.
func (s *soak) inCharge(f *fault, n *edge.Node, away bool) {
	if !away {
		s.edge.WaitReady(s.patience)
		return
	}
	lab.Eventually(s.T, s.patience, fmt.Sprintf("%s: the others do without %s", f.name, n), func() error {
		holders := s.edge.Holders()
		if f.directorAway {
			holders = without(holders, n)
		}
		if len(holders) != 1 {
			return fmt.Errorf("%v have the address", holders)
		}
		for _, m := range s.edge.Nodes {
			w := holders[0].Weight(m)
			if m == n && f.proxyAway {
				w = 1 - max(w, 0)
			}
			if w != 1 {
				return fmt.Errorf("%s does not serve as it should, says %s", m, holders[0])
			}
		}
		return nil
	})
}

// judge compares what a client saw with what a fault may cost.
func (s *soak) judge(f *fault, what string, tl lab.Timeline, gaps []lab.Gap) {
	var longest time.Duration
	for _, g := range gaps {
		longest = max(longest, g.Length())
	}
	if longest > s.gap {
		s.breach("%s: the others needed %v to do without it", what, longest)
	}
	var guilty []lab.Attempt
	for _, a := range tl.Failed() {
		excused := slices.ContainsFunc(gaps, func(g lab.Gap) bool { return a.Sent >= g.From-s.flight && a.Sent <= g.To+s.flight })
		if !excused {
			guilty = append(guilty, a)
		}
	}
	s.record.note(f, tl, longest, len(guilty))
	s.Logf("%4.0fs %s: gaps %v; %v", time.Since(s.record.begun).Seconds(), what, gaps, tl.Tally())
	if len(guilty) > 0 {
		s.breach("%s: %d requests failed without excuse, the first, sent at %v: %v\n%v", what, len(guilty), guilty[0].Sent, guilty[0].Err, tl)
	}
}

// alive ends the run if a process has ended by itself, or with a panic.
func (s *soak) alive(f *fault) {
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
func (s *soak) answers(p *lab.Prober) {
	s.Helper()
	from := p.OK()
	lab.Eventually(s.T, s.patience, "more answers", func() error {
		if got := p.OK() - from; got < s.scale.answers {
			return fmt.Errorf("%d of %d", got, s.scale.answers)
		}
		return nil
	})
}

// observed adds to a configuration what can fill a disk.
func (s *soak) observed(text string) string {
	text = strings.Replace(text, `stop_delay = "4s"`, fmt.Sprintf("stop_delay = %q", s.stop), 1)
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
