package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// TestOwnersProxyDies: a node that proxies nothing hands the VIP to one that
// does, and only what its own proxy held is lost.
func TestOwnersProxyDies(t *testing.T) {
	e := start(t, edge.Options{Check: "fall = 3, rise = 2"})
	owner := e.WaitReady(patience)
	held := e.Hold(30)
	before := held.Alive()
	probe := e.Client.Probe(probeEvery, e.Request())
	answers(t, probe, 50)
	since := mark()
	owner.Proxy.Kill()
	next := e.WaitOwner(patience, e.Others(owner)...)
	took := since()
	held.WaitUsed(t)
	answers(t, probe, 100)
	tl, alive := probe.Stop(), held.Alive()
	figure(t, "proxy of the owner killed: VIP moved from %s to %s after %v; connections held before %v, after %v; %v", owner, next, took, before, alive, tl)
	for _, n := range e.Others(owner) {
		if alive[n.Name()] != before[n.Name()] {
			t.Errorf("%s held %d connections before, %d after: %v", n, before[n.Name()], alive[n.Name()], held.Broken()[n.Name()])
		}
	}
	owner.Proxy.Start()
	if now := e.WaitReady(patience); now != next {
		t.Errorf("the VIP came back to %s without need: it is on %s", next, now)
	}
}

// TestProxyDies kills the proxy of the owner, and then that of another node,
// where the VIP does not depend on it. Only what that proxy held is lost.
func TestProxyDies(t *testing.T) {
	// Three failures a second apart, and a second for the slow machine.
	const limit = 4 * time.Second
	e := start(t, edge.Options{Scheduler: "rr", Check: "fall = 3, rise = 2", Track: "[]"})
	owner := e.WaitReady(patience)
	for _, victim := range []*edge.Node{owner, e.Others(owner)[0]} {
		held := e.Hold(12)
		before := held.Alive()
		since := mark()
		victim.Proxy.Kill()
		weight(t, owner, victim, 0)
		took := since()
		held.WaitUsed(t)
		alive := held.Alive()
		figure(t, "proxy of %s killed: weight 0 after %v; connections held before %v, after %v", victim, took, before, alive)
		if took > limit {
			t.Errorf("weight 0 after %v, want %v at most", took, limit)
		}
		for _, n := range e.Others(victim) {
			if before[n.Name()] == 0 || alive[n.Name()] != before[n.Name()] {
				t.Errorf("%s held %d connections before, %d after: %v", n, before[n.Name()], alive[n.Name()], held.Broken()[n.Name()])
			}
		}
		tally := e.Client.Burst(60, 4, e.Request())
		if tally.Answered != 60 || tally.By[victim.Name()] != 0 {
			t.Errorf("without the proxy of %s: %v", victim, tally)
		}
		since = mark()
		victim.Proxy.Start()
		weight(t, owner, victim, 1)
		back := since()
		tally = e.Client.Burst(60, 4, e.Request())
		figure(t, "proxy of %s started: weight 1 after %v; %v", victim, back, tally)
		if tally.Answered != 60 || tally.By[victim.Name()] != 20 {
			t.Errorf("with the proxy of %s again: %v", victim, tally)
		}
		held.Release()
	}
}

func weight(t *testing.T, owner, of *edge.Node, want int) {
	t.Helper()
	lab.Eventually(t, patience, fmt.Sprintf("weight %d of %s", want, of), func() error {
		if got := owner.Weight(of); got != want {
			return fmt.Errorf("it is %d", got)
		}
		return nil
	})
}

// TestPodsComeAndGo takes a Pod away and adds another one under load.
func TestPodsComeAndGo(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr"})
	request := e.Request()
	request.Server = edge.ByPod
	held := e.Hold(6)
	probe := e.Client.Probe(probeEvery, request)
	answers(t, probe, 100)

	// The Pod stops at once, before any node has heard of it.
	since := mark()
	e.Pod("web-3").Stop()
	e.Publish("web", e.Pod("web-1"), e.Pod("web-2"))
	endpoints(t, e, 2)
	left := since()
	answers(t, probe, 100)

	since = mark()
	e.Publish("web", e.Pod("web-1"), e.Pod("web-2"), e.StartPod("web-4"))
	endpoints(t, e, 3)
	joined := since()
	answers(t, probe, 100)
	tl := probe.Stop()
	figure(t, "a Pod left (all nodes know after %v), another joined (%v): %v", left, joined, tl)
	none(t, "Pods come and go", tl)
	if by := tl.Tally().By; by["web-3"] == 0 || by["web-4"] == 0 {
		t.Errorf("web-3 and web-4 should have answered: %v", by)
	}
	held.WaitUsed(t)
	if broken := held.Broken(); len(broken) > 0 {
		t.Errorf("held connections broke: %v", broken)
	}
}

// endpoints waits until all proxies know so many Pods.
func endpoints(t *testing.T, e *edge.Edge, want int) {
	t.Helper()
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, fmt.Sprintf("%d endpoints on %s", want, n), func() error {
			switch s := n.Status(); {
			case s.Proxy == nil:
				return fmt.Errorf("no proxy: %v", s.Missing)
			case s.Proxy.L7.Endpoints != want:
				return fmt.Errorf("%d", s.Proxy.L7.Endpoints)
			}
			return nil
		})
	}
}
