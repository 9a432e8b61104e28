package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// unguarded switches the guard off.
const unguarded = "[l4]\nguard = false\n"

// TestNothingBounces forces the services on a node that does not own the
// address, where they choose otherwise than the owner's do: what goes to and
// fro without the guard arrives with it.
func TestNothingBounces(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Services: unguarded})
	owner := e.WaitReady(patience)
	other := e.Others(owner)[0]

	force(e, other)
	tally, bounced := watched(e, other, 60)
	figure(t, "no guard: %v; frames balanced more than once: %d", tally, bounced)
	if bounced == 0 || tally.Answered == tally.Sent {
		t.Errorf("nothing bounces without the guard: what follows proves nothing")
	}

	e.Reconfigure(func(o *edge.Options) { o.Services = "" })
	other.Director.Start()
	e.WaitReady(patience)
	guarded(t, e)
	held := e.Hold(12)
	defer held.Release()
	force(e, other)
	t.Logf("nft on %s:\n%s", other, other.Output("nft", "list", "table", "inet", "portico_guard"))
	tally, bounced = watched(e, other, connections)
	figure(t, "with the guard: %v; frames balanced more than once: %d", tally, bounced)
	if bounced > 0 || tally.Answered != tally.Sent {
		t.Errorf("with the guard: %v, %d frames balanced more than once:\n%s", tally, bounced, other.IPVS())
	}
	held.WaitUsed(t)
	if broken := held.Broken(); len(broken) > 0 {
		t.Errorf("connections from before broke: %v", broken)
	}
	// It never learned of the connections that it serves.
	table := other.IPVS()
	t.Logf("ipvsadm -Ln on %s:\n%s", other, table)

	other.Director.Start()
	guarded(t, e)
	out, err := other.Portico("status")
	t.Logf("portico status on %s: %v\n%s", other, err, out)
	if !strings.Contains(out, "guard: ") || strings.Contains(out, " 0 of their packets") {
		t.Errorf("status on %s says nothing of guarded packets:\n%s", other, out)
	}
	other.Director.Stop()
	if out, err := other.Portico("flush"); err != nil || strings.Contains(other.Output("nft", "list", "tables"), "portico") {
		t.Errorf("flush left the guard: %v\n%s", err, out)
	}
}

// TestHandOverInTurn: two nodes have the services for an instant, when the
// next owner has programmed them and the old one still balances. With rr they
// do not agree.
func TestHandOverInTurn(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Services: unguarded})
	for _, guard := range []bool{false, true} {
		if guard {
			e.Reconfigure(func(o *edge.Options) { o.Services = "" })
			guarded(t, e)
		}
		owner := e.WaitReady(patience)
		var captures []*lab.Capture
		for _, n := range e.Nodes {
			captures = append(captures, twice(e, n))
		}
		probe := e.Client.Probe(probeEvery, e.Request())
		answers(t, probe, 20)
		owner.Director.Stop()
		e.WaitOwner(patience, e.Others(owner)...)
		answers(t, probe, 20)
		timeline := probe.Stop()
		bounced := 0
		for _, c := range captures {
			bounced += len(c.Stop())
		}
		figure(t, "guard %v: %d of %d requests failed, frames balanced more than once: %d", guard, len(timeline.Failed()), len(timeline.Attempts), bounced)
		if guard && bounced > 0 {
			t.Errorf("%d frames were balanced more than once", bounced)
		}
		owner.Director.Start()
		e.WaitReady(patience)
	}
}

// force has a node that is not the owner balance the VIP's first port over the
// others, with nobody left to put that right.
func force(e *edge.Edge, n *edge.Node) {
	n.Director.Kill()
	service := e.VIP() + ":80"
	n.Output("ipvsadm", "-A", "-t", service, "-s", "rr")
	for _, server := range e.Others(n) {
		n.Output("ipvsadm", "-a", "-t", service, "-r", server.Addr, "-g")
	}
}

// watched has the client open so many connections, and returns beside how they
// went how many frames came to a node, or left it, that had been balanced
// before. A director takes one from the time to live, 64 at the client.
func watched(e *edge.Edge, n *edge.Node, count int) (lab.Tally, int) {
	capture := twice(e, n)
	tally := e.Client.Burst(count, 4, e.Request())
	return tally, len(capture.Stop())
}

func twice(e *edge.Edge, n *edge.Node) *lab.Capture {
	return n.Capture("eth0", "tcp and dst host "+e.VIP()+" and ip[8] < 63")
}

// guarded waits until every node knows all others by their hardware addresses.
func guarded(t *testing.T, e *edge.Edge) {
	t.Helper()
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, "the guard of "+n.Name(), func() error {
			out, _ := n.Portico("status") // its exit status is of other matters
			if want := fmt.Sprintf("guard: %d peers", len(e.Nodes)-1); !strings.Contains(out, want) {
				return fmt.Errorf("no %q in:\n%s", want, out)
			}
			return nil
		})
	}
}
