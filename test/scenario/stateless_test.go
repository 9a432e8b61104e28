package scenario

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const (
	// streams is how many connections live through a failover, each used
	// every useEvery.
	streams  = 200
	useEvery = 2 * time.Second
)

// A loss is one way to lose an owner.
type loss struct {
	// machine says that the owner goes whole, with the connections it serves
	// itself; else its director dies, and its proxy lives on.
	machine bool
	// server says that the proxy of another node dies in the same second.
	server bool
}

func (l loss) String() string {
	s := "the owner's director dies"
	if l.machine {
		s = "the owner's machine dies"
	}
	if l.server {
		s += ", and a server elsewhere"
	}
	return s
}

var losses = []loss{{}, {machine: true}, {machine: true, server: true}}

// TestStreamsOutliveTheOwner is the promise of failover without a memory of
// connections: with mh every node finds the server of a stream it has never
// seen. A stream whose server lives must live as well.
func TestStreamsOutliveTheOwner(t *testing.T) {
	e := start(t, edge.Options{})
	for _, l := range losses {
		outlive(t, e, "mh", l, true)
	}
	e.Reconfigure(func(o *edge.Options) { o.Scheduler = "rr" })
	outlive(t, e, "rr, for comparison", loss{machine: true}, false)
}

// outlive has streams live through a loss of the owner, and tells how many
// did. Where all says so, those whose server lives must.
func outlive(t *testing.T, e *edge.Edge, setting string, l loss, all bool) {
	t.Helper()
	old := e.WaitReady(patience)
	scheduled(t, e, old, setting)
	held := e.HoldEvery(streams, useEvery)
	before := held.Alive()
	var gone []*edge.Node // with the streams they serve
	if l.server {
		gone = append(gone, e.Others(old)[0])
	}
	old.Director.Kill()
	if l.machine {
		e.LAN.Unplug(old.Node)
		gone = append(gone, old)
	}
	if l.server {
		gone[0].Proxy.Kill()
	}
	since := mark()
	next := holder(t, e, old)
	moved := since()
	held.WaitUsed(t, gone...)

	alive, broken := held.Alive(), held.Broken()
	could, did := streams, 0
	for _, n := range e.Nodes {
		if slices.Contains(gone, n) {
			could -= before[n.Name()]
		} else {
			did += alive[n.Name()]
		}
	}
	figure(t, "%s: %s: %d streams %v, %d of them on servers that live, survive %d; %s has the VIP after %v",
		setting, l, streams, before, could, did, next, moved)
	if all && did != could {
		t.Errorf("%s: %s: of %d streams whose server lives %d survive: %v", setting, l, could, did, broken)
	}
	held.Release()
	back(t, e, old, gone)
}

// scheduled waits until the owner's kernel has the scheduler that setting
// begins with.
func scheduled(t *testing.T, e *edge.Edge, owner *edge.Node, setting string) {
	t.Helper()
	scheduler, _, _ := strings.Cut(setting, ",")
	lab.Eventually(t, patience, scheduler+" in the kernel", func() error {
		if table := owner.IPVS(); !strings.Contains(table, e.VIP()+":80 "+scheduler) {
			return fmt.Errorf("%s", table)
		}
		return nil
	})
}

// back makes the edge whole again. A director that comes back first takes the
// VIP from its kernel, unheard, so that nobody sees two owners.
func back(t *testing.T, e *edge.Edge, old *edge.Node, gone []*edge.Node) {
	t.Helper()
	old.Director.Start()
	for _, n := range gone {
		if !n.Proxy.Running() {
			n.Proxy.Start()
		}
	}
	lab.Eventually(t, patience, old.Name()+" without the VIP", func() error {
		if old.HasAddr("eth0", e.VIP()) {
			return fmt.Errorf("%v", e.Holders())
		}
		return nil
	})
	e.LAN.Plug(old.Node)
	e.WaitReady(patience)
}
