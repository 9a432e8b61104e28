package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const (
	// routedVIP is on no link: clients reach it through the router alone.
	routedVIP  = "198.51.100.10"
	routerAddr = "172.20.0.254"
)

// bgp is what a node says instead of [vip.vrrp].
const bgp = `owner     = "bgp"
bgp       = { local_as = 64512, neighbors = [{ address = "` + routerAddr + `", as = 64513, bfd = true }] }
`

var vrrp = regexp.MustCompile(`(?m)^vrrp .*\n`)

// startRouted starts an edge whose nodes all announce the VIP to a router, by
// which the client reaches it.
func startRouted(t *testing.T) (*edge.Edge, *router) {
	t.Helper()
	lab.NeedIPVS(t)
	l := lab.New(t)
	e := edge.New(t, l, edge.Options{VIP: routedVIP, Scheduler: "mh"})
	r := newRouter(t, l, e)
	e.Client.Route(routedVIP+"/32", routerAddr)
	for _, n := range e.Nodes {
		n.RewriteConfig(func(text string) string { return vrrp.ReplaceAllString(text, bgp) })
	}
	e.Start()
	r.waits(len(e.Nodes))
	lab.Eventually(t, patience, "all nodes in service on all nodes", func() error {
		for _, n := range e.Nodes {
			for _, of := range e.Nodes {
				if w := n.Weight(of); w != 1 {
					return fmt.Errorf("%s gives %s weight %d:\n%s", n, of, w, n.IPVS())
				}
			}
		}
		return nil
	})
	return e, r
}

// A router runs bird, and spreads by address and port over equal paths.
type router struct {
	*lab.Node
	t *testing.T
}

func newRouter(t *testing.T, l *lab.Lab, e *edge.Edge) *router {
	t.Helper()
	r := &router{l.Node("router"), t}
	r.Attach(e.LAN, "eth0", routerAddr+"/24")
	r.Sysctl("net.ipv4.ip_forward", "1")
	r.Sysctl("net.ipv4.fib_multipath_hash_policy", "1")
	// It shares the link with client and nodes, as routers do not.
	r.Sysctl("net.ipv4.conf.all.send_redirects", "0")
	r.Sysctl("net.ipv4.conf.eth0.send_redirects", "0")
	r.NoReversePathFilter()
	var conf strings.Builder
	conf.WriteString(`router id ` + routerAddr + `;
protocol device { scan time 1; }
protocol bfd { interface "eth0" { min rx interval 300 ms; min tx interval 300 ms; multiplier 3; }; }
protocol kernel { merge paths on; ipv4 { import none; export all; }; }
template bgp edge {
  local as 64513;
  graceful restart on;
  bfd on;
  error wait time 1, 5;
  ipv4 { import filter { if net = ` + routedVIP + `/32 then accept; reject; }; export none; };
}
`)
	for i, n := range e.Nodes {
		fmt.Fprintf(&conf, "protocol bgp edge%d from edge { neighbor %s as 64512; }\n", i+1, n.Addr)
	}
	path := filepath.Join(r.Dir(), "bird.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Start("bird", "-f", "-c", path, "-s", filepath.Join(r.Dir(), "ctl"), "-P", filepath.Join(r.Dir(), "pid"))
	return r
}

// hops are the addresses that the router's kernel spreads the VIP over.
func (r *router) hops() (hops []string) {
	r.t.Helper()
	fields := strings.Fields(r.Output("ip", "route", "show", routedVIP))
	for i, f := range fields {
		if f == "via" {
			hops = append(hops, fields[i+1])
		}
	}
	return hops
}

// waits until the router spreads over n nodes, and returns how long it took.
func (r *router) waits(n int) time.Duration {
	r.t.Helper()
	since := mark()
	lab.Eventually(r.t, patience, fmt.Sprintf("%d equal paths", n), func() error {
		if hops := r.hops(); len(hops) != n {
			out, _ := r.Command("birdc", "-s", filepath.Join(r.Dir(), "ctl"), "show", "protocols").CombinedOutput()
			return fmt.Errorf("%v\n%s", hops, out)
		}
		return nil
	})
	return since()
}

// TestRoutedAddress has three nodes announce one address to a router. A
// connection may enter by any of them, and by another one tomorrow: mh leads
// it to the same server.
func TestRoutedAddress(t *testing.T) {
	e, r := startRouted(t)
	tally := e.Client.Burst(connections, 4, e.Request())
	sent := sentOn(e)
	figure(t, "announced by three: %v; sent on to another node by %v", tally, sent)
	if tally.Answered != connections {
		t.Errorf("%v", tally)
	}
	for _, n := range e.Nodes {
		// A third enters by each, and two of three have their server elsewhere.
		if c := sent[n.Name()]; c < connections/9 {
			t.Errorf("%s sent on %d of %d connections", n, c, connections)
		}
	}
	for _, n := range e.Nodes {
		if n.HasAddr("eth0", routedVIP) || !n.HasAddr("lo", routedVIP) {
			t.Errorf("%s has the VIP on its interface, or not on lo", n)
		}
	}
	agreed(t, e)

	held := e.Hold(60)
	for _, end := range []struct {
		name       string
		come, back func(*edge.Node)
	}{
		{"director stopped", func(n *edge.Node) { n.Director.Stop() }, func(n *edge.Node) { n.Director.Start() }},
		{"director killed", func(n *edge.Node) { n.Director.Kill() }, func(n *edge.Node) { n.Director.Start() }},
	} {
		n := e.Nodes[0]
		probe := e.Client.Probe(probeEvery, e.Request())
		answers(t, probe, 50)
		since := mark()
		done := make(chan time.Duration, 1)
		go func() {
			end.come(n)
			done <- since()
		}()
		gone := r.waits(len(e.Nodes) - 1)
		ended := <-done
		held.WaitUsed(t)
		answers(t, probe, 50)
		end.back(n)
		back := r.waits(len(e.Nodes))
		held.WaitUsed(t)
		answers(t, probe, 50)
		tl := probe.Stop()
		figure(t, "%s (took %v): its route gone after %v, back %v after the start; held connections %v, broken %v; %v",
			end.name, ended, gone, back, held.Alive(), held.Broken(), tl)
		if len(held.Broken()) > 0 {
			t.Errorf("%s: broken: %v", end.name, held.Broken())
		}
		none(t, end.name, tl)
		agreed(t, e)
	}

	// With the node goes what was answered there, and nothing else.
	lost := e.Nodes[2]
	there := held.Alive()[lost.Name()]
	since := mark()
	e.LAN.Unplug(lost.Node)
	r.waits(len(e.Nodes) - 1)
	gone := since()
	lab.Eventually(t, patience, "the others give the lost node no weight", func() error {
		for _, n := range e.Others(lost) {
			if w := n.Weight(lost); w != 0 {
				return fmt.Errorf("%s gives it %d", n, w)
			}
		}
		return nil
	})
	alive := held.Alive()
	delete(alive, lost.Name())
	figure(t, "link lost: its route gone after %v, its weight after %v; %d of 60 connections were answered there, of the others live %v",
		gone, since(), there, alive)
	for n, errs := range held.Broken() {
		if n != lost.Name() {
			t.Errorf("broken with %s: %v", n, errs)
		}
	}
	if tally := e.Client.Burst(60, 4, e.Request()); tally.Answered != 60 {
		t.Errorf("two nodes: %v", tally)
	}
}

// sentOn counts the connections that each node has led to another one. They
// have entered there: what it got from others ends with it.
func sentOn(e *edge.Edge) map[string]int {
	counts := map[string]int{}
	for _, n := range e.Nodes {
		for _, server := range led(n) {
			if server != n.Addr+":80" {
				counts[n.Name()]++
			}
		}
	}
	return counts
}

var entry = regexp.MustCompile(`(?m)^TCP +\S+ +\S+ +(\S+) +` + regexp.QuoteMeta(routedVIP) + `:80 +(\S+)`)

// led is where the node's kernel leads the connections it knows, by client.
func led(n *edge.Node) map[string]string {
	servers := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(n.Output("ipvsadm", "-Lnc"), -1) {
		servers[m[1]] = m[2]
	}
	return servers
}

// agreed fails the test unless all nodes lead each connection to the same
// server: what one sends another by direct routing is balanced there again, and
// has to end there.
func agreed(t *testing.T, e *edge.Edge) {
	t.Helper()
	servers := map[string][]string{}
	for _, n := range e.Nodes {
		for client, server := range led(n) {
			if !slices.Contains(servers[client], server) {
				servers[client] = append(servers[client], server)
			}
		}
	}
	differ := 0
	for client, list := range servers {
		if len(list) > 1 {
			differ++
			t.Errorf("%s is led to %v", client, list)
		}
	}
	figure(t, "of %d connections known to the nodes, %d are led to differing servers", len(servers), differ)
}
