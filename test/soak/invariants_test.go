package soak

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// owners watches who has the virtual address.
type owners struct {
	soak *soak
	wg   sync.WaitGroup
	end  chan struct{}

	mu   sync.Mutex
	node *edge.Node // may have it beside another one
}

// longestPair is how long two nodes may have it: until the lesser of two has
// heard the other after a link came back, or after both took over at once.
const longestPair = 5 * time.Second

func (s *soak) watchOwners() *owners {
	o := &owners{soak: s, end: make(chan struct{})}
	o.wg.Go(o.run)
	return o
}

func (o *owners) stop() {
	close(o.end)
	o.wg.Wait()
}

// excuse tells that a node may have the address beside another one.
func (o *owners) excuse(f fault, n *edge.Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.node = nil; f.twoOwners {
		o.node = n
	}
}

func (o *owners) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-o.end:
			return
		case now := <-tick.C:
			o.mu.Lock()
			excused := o.node
			o.mu.Unlock()
			var have []*edge.Node
			for _, n := range o.soak.edge.Holders() {
				if n != excused {
					have = append(have, n)
				}
			}
			switch {
			case len(have) < 2:
				since = time.Time{}
			case since.IsZero():
				since = now
			case now.Sub(since) > longestPair:
				o.soak.Errorf("%v have the address for %v", have, now.Sub(since).Round(time.Millisecond))
				return
			}
		}
	}
}

// A holding is what one process, or one node, has of something.
type holding map[string]int

// held is what processes and nodes have when nothing happens, by name.
func (s *soak) held() map[string]holding {
	all := map[string]holding{}
	for _, n := range s.edge.Nodes {
		for name, p := range map[string]*edge.Process{"director": n.Director, "proxy": n.Proxy} {
			all[n.Name()+" "+name] = s.process(n, name, p.Pid())
		}
		all[n.Name()] = holding{
			"addresses": lines(n.Output("ip", "-oneline", "address")) - count(s.edge.Holders(), n),
			"routes":    lines(n.Output("ip", "route", "show", "table", "all")) - 2*count(s.edge.Holders(), n),
			"rules":     lines(n.Output("nft", "list", "ruleset")),
		}
		if s.guest && count(s.edge.Holders(), n) == 0 {
			all[n.Name()]["IPVS entries"] = lines(n.Output("ipvsadm", "-Sn"))
		}
	}
	return all
}

func (s *soak) process(n *edge.Node, name string, pid int) holding {
	proc := fmt.Sprintf("/proc/%d", pid)
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		s.Fatal(err)
	}
	h := holding{"descriptors": len(fds), "goroutines": s.goroutines(n, name)}
	f, err := os.Open(proc + "/status")
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "VmRSS:"); ok {
			h["KiB of memory"], _ = strconv.Atoi(strings.Fields(v)[0])
		}
	}
	return h
}

// goroutines asks a process's own metrics.
func (s *soak) goroutines(n *edge.Node, name string) int {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.Dir(), name+".sock"))
		},
	}}
	resp, err := client.Get("http://portico/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if f := strings.Fields(sc.Text()); len(f) == 2 && strings.HasPrefix(f[0], "go_goroutines") {
			if v, err := strconv.ParseFloat(f[1], 64); err == nil {
				return int(v)
			}
		}
	}
	s.Fatalf("%s of %s does not say how many goroutines it has", name, n)
	return 0
}

// room is how much more there may be than before: pools, caches and the
// collector's pace; what leaks passes any bound in a long run.
var room = holding{"descriptors": 200, "goroutines": 200, "KiB of memory": 96 << 10}

// unchanged waits until all have again what they had before.
func (s *soak) unchanged(before map[string]holding) {
	lab.Eventually(s.T, 3*time.Minute, "nothing more than before", func() error {
		after := s.held()
		for who, had := range before {
			for what, n := range had {
				now, counted := after[who][what]
				if counted && (now > n+room[what] || room[what] == 0 && now != n) {
					return fmt.Errorf("%s: %d %s, %d before", who, now, what, n)
				}
			}
		}
		return nil
	})
	s.Logf("before: %v\nafter: %v", before, s.held())
}

func lines(text string) int { return strings.Count(text, "\n") }

func count(nodes []*edge.Node, n *edge.Node) (c int) {
	for _, m := range nodes {
		if m == n {
			c++
		}
	}
	return c
}
