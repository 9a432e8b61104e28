package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A tally is what faults of one kind did.
type tally struct {
	times, requests int
	excused, guilty int           // failed requests
	slowest         time.Duration // answer
	gap             time.Duration // the longest
	why             string        // requests may fail
}

// A record is what happened so far.
type record struct {
	mu      sync.Mutex
	begun   time.Time
	faults  map[string]*tally
	broken  int    // invariants
	current string // fault
}

// note adds what a client saw of a fault.
func (r *record) note(f *fault, tl lab.Timeline, gap time.Duration, guilty int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.faults[f.name]
	if t == nil {
		t = &tally{why: f.why}
		r.faults[f.name] = t
	}
	t.times++
	t.requests += len(tl.Attempts)
	t.excused += len(tl.Failed()) - guilty
	t.guilty += guilty
	t.slowest = max(t.slowest, tl.Slowest())
	t.gap = max(t.gap, gap)
}

func (r *record) sum() (all tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.faults {
		all.times += t.times
		all.requests += t.requests
		all.excused += t.excused
		all.guilty += t.guilty
		all.slowest = max(all.slowest, t.slowest)
		all.gap = max(all.gap, t.gap)
	}
	return all
}

// breach reports that something did not hold. The run goes on: what comes
// behind may tell why.
func (s *soak) breach(format string, args ...any) {
	s.record.mu.Lock()
	s.record.broken++
	s.record.mu.Unlock()
	s.Errorf("BROKEN: "+format, args...)
}

// progress writes a line a minute.
func (s *soak) progress(end <-chan struct{}) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		sum := s.record.sum()
		s.record.mu.Lock()
		current, broken := s.record.current, s.record.broken
		s.record.mu.Unlock()
		s.Logf("%v: %d faults, now %q; %d requests, %d failed in a gap, %d without excuse, %d invariants broken; %d news of routes; %s: director %v, proxy %v",
			time.Since(s.record.begun).Round(time.Second), sum.times, current, sum.requests, sum.excused, sum.guilty, broken,
			s.news.latest.Load(), s.spared, ofProcess(s.spared.Director.Pid()), ofProcess(s.spared.Proxy.Pid()))
	}
}

// report is the table at the end.
func (s *soak) report() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfault\ttimes\trequests\tfailed in a gap\tfailed without excuse\tlongest gap\tslowest answer\texcuse")
	for _, name := range slices.Sorted(maps.Keys(s.record.faults)) {
		t := s.record.faults[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t%v\t%s\n", name, t.times, t.requests, t.excused, t.guilty, ms(t.gap), ms(t.slowest), t.why)
	}
	sum := s.record.sum()
	fmt.Fprintf(w, "together\t%d\t%d\t%d\t%d\t%v\t%v\n", sum.times, sum.requests, sum.excused, sum.guilty, ms(sum.gap), ms(sum.slowest))
	w.Flush()
	s.Logf("%s%d news of routes, all nodes had the latest after %v at most; two owners for %v at most, none for %v",
		&b, s.news.latest.Load(), ms(s.news.slow), ms(s.owners.two), ms(s.owners.none))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
