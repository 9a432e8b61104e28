package xdp

import (
	"fmt"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const patience = 60 * time.Second

// start starts an edge whose owner carries by XDP.
func start(t *testing.T, o edge.Options) (*edge.Edge, *edge.Node) {
	t.Helper()
	o.Dataplane = "xdp"
	e := edge.New(t, lab.New(t), o)
	e.Start()
	owner := e.WaitReady(patience)
	carried(t, owner, "xdp native")
	return e, owner
}

func carried(t *testing.T, n *edge.Node, by string) {
	t.Helper()
	lab.Eventually(t, patience, n.Name()+" carries by "+by, func() error {
		if got := n.Carries(); got != by {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
}

// TestEveryConnectionIsAnswered is the promise of the topology with XDP alone,
// on three nodes that are director and server each.
func TestEveryConnectionIsAnswered(t *testing.T) {
	e, owner := start(t, edge.Options{})
	tally := e.Client.Burst(300, 4, e.Request())
	t.Logf("figure: %v", tally)
	if tally.Answered != 300 {
		t.Errorf("%v", tally)
	}
	for _, n := range e.Nodes {
		if got := tally.By[n.Name()]; got < 60 || got > 140 {
			t.Errorf("%s answered %d, want 60 to 140", n, got)
		}
	}
	out, err := owner.Portico("status")
	t.Logf("%v\n%s", err, out)
}
