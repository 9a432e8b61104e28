package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/portico-lb/portico/test/edge"
)

// A holding is what one process, or one node, has of something.
type holding map[string]int

// What is held.
const (
	memory      = "KiB of memory" // its own: what it reads from files comes and goes with the kernel's need
	descriptors = "descriptors"
	threads     = "threads"
	goroutines  = "goroutines"
)

// room is how much more there may be than before, in pools and caches, and by
// the collector's pace: up to 64 goroutines of a proxy wait for connections once
// there have been so many. Of what is not in it there may be none.
var room = holding{descriptors: 12, goroutines: 64 + 12, threads: 15, memory: 32 << 10}

// held is what processes and nodes have when nothing happens, by name.
func (s *soak) held() (map[string]holding, error) {
	all := map[string]holding{}
	holders := s.edge.Holders()
	for _, n := range s.edge.Nodes {
		for name, p := range map[string]*edge.Process{"director": n.Director, "proxy": n.Proxy} {
			h := ofProcess(p.Pid())
			var err error
			if h[goroutines], err = countGoroutines(n, name); err != nil {
				return nil, fmt.Errorf("%s of %s: %w", name, n, err)
			}
			all[n.Name()+" "+name] = h
		}
		owner := slices.Contains(holders, n)
		h := holding{
			"addresses":   lines(n.Output("ip", "-oneline", "address")),
			"routes":      lines(n.Output("ip", "route", "show", "table", "all")),
			"interfaces":  lines(n.Output("ip", "-oneline", "link")),
			"rules":       lines(n.Output("nft", "list", "ruleset")),
			"state files": files(filepath.Join(n.Dir(), "l7"), "access"),
			"pins":        files(filepath.Join(n.Dir(), "run", "bpf"), ""),
		}
		if owner { // the virtual address, and its local route
			h["addresses"]--
			h["routes"]--
		}
		all[n.Name()] = h
		if s.guest {
			if entries := lines(n.Output("ipvsadm", "-Sn")); owner {
				all["the owner"] = holding{"IPVS entries": entries}
			} else {
				h["IPVS entries"] = entries
			}
		}
	}
	return all, nil
}

// ofProcess is what the kernel knows of a process; nothing if it is gone.
func ofProcess(pid int) holding {
	proc := fmt.Sprintf("/proc/%d", pid)
	h := holding{}
	if fds, err := os.ReadDir(proc + "/fd"); err == nil {
		h[descriptors] = len(fds)
	}
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		what := map[string]string{"RssAnon": memory, "Threads": threads}[key]
		if f := strings.Fields(value); what != "" && len(f) > 0 {
			h[what], _ = strconv.Atoi(f[0])
		}
	}
	return h
}

// countGoroutines asks a process's own metrics.
func countGoroutines(n *edge.Node, process string) (int, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.Dir(), process+".sock"))
		},
	}}
	resp, err := client.Get("http://portico/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		// The director's metrics have the proxy's beside them.
		if v, ok := strings.CutPrefix(sc.Text(), fmt.Sprintf("go_goroutines{process=%q} ", process)); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, errors.New("no go_goroutines in its metrics")
}

// files counts those below a folder whose names do not begin with not.
func files(dir, not string) (n int) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (not == "" || !strings.HasPrefix(d.Name(), not)) {
			n++
		}
		return nil
	})
	return n
}

// unchanged waits until all have again what they had before, and tells who
// has not.
func (s *soak) unchanged(before map[string]holding) {
	var after map[string]holding
	deadline := time.Now().Add(3 * time.Minute) // idle connections of pools end
	for {
		var err error
		if after, err = s.held(); err != nil {
			s.Fatal(err)
		}
		if len(grown(before, after)) == 0 || time.Now().After(deadline) {
			break
		}
		wait(time.Second)
	}
	for _, what := range grown(before, after) {
		s.breach("%s", what)
		if who, _, _ := strings.Cut(what, ":"); strings.Contains(what, goroutines) {
			s.stacks(who)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, who := range slices.Sorted(maps.Keys(before)) {
		fmt.Fprintf(w, "\n%s", who)
		for _, what := range slices.Sorted(maps.Keys(before[who])) {
			fmt.Fprintf(w, "\t%s %d -> %d", what, before[who][what], after[who][what])
		}
	}
	w.Flush()
	s.Logf("held before and after:%s", &b)
}

// stacks ends a process, to see what started its goroutines.
func (s *soak) stacks(who string) {
	node, process, _ := strings.Cut(who, " ")
	for _, n := range s.edge.Nodes {
		if n.Name() != node {
			continue
		}
		p := map[string]*edge.Process{"director": n.Director, "proxy": n.Proxy}[process]
		p.Signal(syscall.SIGQUIT)
		p.Wait()
		_, dump, _ := strings.Cut(p.Log(), "SIGQUIT")
		by := map[string]int{}
		for line := range strings.Lines(dump) {
			if f, ok := strings.CutPrefix(line, "created by "); ok {
				by[strings.Fields(f)[0]]++
			}
		}
		s.Logf("goroutines of %s by who started them: %v", who, by)
	}
}

// grown lists what is more than there is room for, or less of what does not
// vary.
func grown(before, after map[string]holding) (list []string) {
	for _, who := range slices.Sorted(maps.Keys(before)) {
		for _, what := range slices.Sorted(maps.Keys(before[who])) {
			had := before[who][what]
			now, counted := after[who][what]
			spare, varies := room[what]
			if counted && (now > had+spare || !varies && now != had) {
				list = append(list, fmt.Sprintf("%s: %d %s, %d before", who, now, what, had))
			}
		}
	}
	return list
}

func lines(text string) int { return strings.Count(text, "\n") }
