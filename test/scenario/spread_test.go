package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const connections = 300

// TestEveryConnectionIsAnswered is the promise of the topology: each node is
// director and server, and none balances a second time what another one has
// balanced. Which node a connection reached is told by the Pod, from the
// address that asked it.
func TestEveryConnectionIsAnswered(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr"})
	for _, s := range []struct {
		name string
		low  int // least share of a node, of 300
		high int
	}{
		{"rr", 99, 101},  // in turn
		{"wlc", 85, 115}, // by connections not yet forgotten, about in turn
		{"mh", 60, 140},  // by hash of the client's address and port
	} {
		e.Reconfigure(func(o *edge.Options) { o.Scheduler = s.name })
		owner := e.WaitReady(patience)
		lab.Eventually(t, patience, s.name+" in the kernel", func() error {
			if table := owner.IPVS(); !strings.Contains(table, e.VIP()+":80 "+s.name) {
				return fmt.Errorf("%s", table)
			}
			return nil
		})
		tally := e.Client.Burst(connections, 4, e.Request())
		figure(t, "%s: %v", s.name, tally)
		if tally.Answered != connections {
			t.Errorf("%s: %v", s.name, tally)
		}
		for _, n := range e.Nodes {
			if got := tally.By[n.Name()]; got < s.low || got > s.high {
				t.Errorf("%s: %s answered %d, want %d to %d", s.name, n, got, s.low, s.high)
			}
		}
		tables(t, e, owner)
	}
}

// tables checks what ipvsadm shows: everything at the owner, nothing elsewhere.
func tables(t *testing.T, e *edge.Edge, owner *edge.Node) {
	t.Helper()
	table := owner.IPVS()
	t.Logf("ipvsadm -Ln on %s, the owner:\n%s", owner, table)
	for _, n := range e.Nodes {
		if owner.Weight(n) != 1 {
			t.Errorf("the owner has no destination %s with weight 1:\n%s", n, table)
		}
	}
	for _, n := range e.Others(owner) {
		if other := n.IPVS(); strings.Contains(other, e.VIP()) {
			t.Errorf("%s, which is not the owner, has services:\n%s", n, other)
		}
	}
}
