package soak

import (
	"fmt"
	"regexp"
	"syscall"
	"time"

	"github.com/portico-lb/portico/test/edge"
)

// A fault is something that goes wrong on a node, and is mended.
type fault struct {
	name       string
	come, back func(*edge.Node)
	// why requests may fail until the others do without the node, and until
	// it is back; none may where this is empty.
	why string
	// What of the node is away meanwhile. A director that is may keep the
	// address beside the next owner: nobody is there, or nobody can be heard,
	// to take it away.
	directorAway, proxyAway, twoOwners bool
	// ends says that processes do.
	ends bool
}

// held is how long a fault stands after all have noticed.
const held = 3 * time.Second

const (
	unseen    = "until the checks fail, and another owner is there"
	unchecked = "until the checks fail"
	changing  = "connections in the instant of the change of owner"
)

// faults are those whose names match.
func (s *soak) faults(only *regexp.Regexp) (list []*fault) {
	all := append(s.processFaults(), s.lineFaults()...)
	all = append(all, s.routeFaults()...)
	all = append(all, s.hostFaults()...)
	for i := range all {
		if only.MatchString(all[i].name) {
			list = append(list, &all[i])
		}
	}
	if len(list) == 0 {
		s.Fatalf("no fault is called %v", only)
	}
	return list
}

func (s *soak) processFaults() []fault {
	return []fault{
		{name: "director killed", why: changing, directorAway: true, twoOwners: true, ends: true,
			come: func(n *edge.Node) { n.Director.Kill() },
			back: func(n *edge.Node) { n.Director.Start() }},
		{name: "director stopped", why: changing, directorAway: true, ends: true,
			come: func(n *edge.Node) { n.Director.Stop() },
			back: func(n *edge.Node) { n.Director.Start() }},
		{name: "director frozen", why: changing, directorAway: true, twoOwners: true,
			come: func(n *edge.Node) { n.Director.Signal(syscall.SIGSTOP) },
			back: func(n *edge.Node) { n.Director.Signal(syscall.SIGCONT) }},
		{name: "director replaced in place",
			come: func(n *edge.Node) { n.Director.Signal(syscall.SIGUSR2); wait(held) }},
		{name: "proxy killed", why: unchecked, proxyAway: true, ends: true,
			come: func(n *edge.Node) { n.Proxy.Kill() },
			back: func(n *edge.Node) { n.Proxy.Start() }},
		{name: "proxy stopped", ends: true,
			come: func(n *edge.Node) { n.Proxy.Signal(syscall.SIGTERM); n.Proxy.Wait() },
			back: func(n *edge.Node) { n.Proxy.Start() }},
		{name: "proxy frozen", why: unchecked, proxyAway: true,
			come: func(n *edge.Node) { n.Proxy.Signal(syscall.SIGSTOP) },
			back: func(n *edge.Node) { n.Proxy.Signal(syscall.SIGCONT) }},
		{name: "both killed", why: unseen, directorAway: true, proxyAway: true, twoOwners: true, ends: true,
			come: func(n *edge.Node) { n.Director.Kill(); n.Proxy.Kill() },
			back: func(n *edge.Node) { n.Proxy.Start(); n.Director.Start() }},
		{name: "configuration read again",
			come: func(n *edge.Node) { n.Director.Reload(); n.Proxy.Reload(); wait(time.Second) }},
	}
}

func (s *soak) lineFaults() []fault {
	return []fault{
		{name: "link lost", why: unseen, directorAway: true, proxyAway: true, twoOwners: true,
			come: func(n *edge.Node) { s.edge.LAN.Unplug(n.Node) },
			back: func(n *edge.Node) { s.edge.LAN.Plug(n.Node) }},
		{name: "dead port", why: unseen, directorAway: true, proxyAway: true, twoOwners: true,
			come: func(n *edge.Node) { s.edge.LAN.Deaden(n.Node) },
			back: func(n *edge.Node) { s.edge.LAN.Revive(n.Node) }},
		{name: "link flapping", why: "while it flaps", twoOwners: true, come: s.flap},
	}
}

// flap has a node's link come and go faster than anybody fails a check.
func (s *soak) flap(n *edge.Node) {
	for range 5 {
		s.edge.LAN.Unplug(n.Node)
		wait(time.Duration(100+s.rand.IntN(400)) * time.Millisecond)
		s.edge.LAN.Plug(n.Node)
		wait(time.Duration(100+s.rand.IntN(400)) * time.Millisecond)
	}
}

func (s *soak) routeFaults() []fault {
	faults := []fault{
		{name: "Pods replaced", come: func(*edge.Node) { s.replacePods() }},
		{name: "routes' source gone", come: func(*edge.Node) { s.vanish() }, back: func(*edge.Node) { s.appear() }},
		{name: "routes' source gone, a Pod too", // and nobody can tell the nodes
			come: func(*edge.Node) { s.vanish(); s.pod(0).Stop() },
			back: func(*edge.Node) { s.appear(); s.replacePods() }},
	}
	if s.folder {
		return append(faults, fault{name: "a broken manifest",
			come: func(*edge.Node) {
				s.news.without(func() error { return s.source.apply("broken", "kind: [Ingress\n") })
			},
			back: func(*edge.Node) {
				s.news.without(func() error { return s.source.remove("broken") })
			}})
	}
	return append(faults, fault{name: "proxy started while the API server is gone", ends: true,
		come: func(n *edge.Node) {
			s.vanish()
			n.Proxy.Signal(syscall.SIGTERM)
			n.Proxy.Wait()
			n.Proxy.Start()
			s.edge.WaitReady(s.patience) // from what it wrote down
		},
		back: func(*edge.Node) { s.appear() }})
}

func (s *soak) vanish() {
	s.news.without(func() error { s.news.absent = true; return s.source.vanish() })
}

func (s *soak) appear() {
	s.news.without(func() error { s.news.absent = false; return s.source.appear() })
}

// pod is one of the three that serve.
func (s *soak) pod(i int) *edge.Pod { return s.edge.Pod(fmt.Sprintf("web-%d", s.pods-2+i)) }

// replacePods brings up new Pods in place of the ones there, as a rolling
// update does.
func (s *soak) replacePods() {
	old := []*edge.Pod{s.pod(0), s.pod(1), s.pod(2)}
	var pods []*edge.Pod
	for range old {
		s.pods++
		pods = append(pods, s.edge.StartPod(fmt.Sprintf("web-%d", s.pods)))
	}
	s.news.without(func() error { return s.source.apply("service-web", edge.ServiceManifest("web", pods...)) })
	wait(2 * time.Second) // as terminationGracePeriod: nodes learn of it first
	for _, p := range old {
		p.Stop()
	}
}

// wait lets time pass in which a fault stands.
func wait(d time.Duration) { time.Sleep(d) }
