// Command browser builds an edge of three nodes for a browser outside to look
// at. It runs in the guest of test/vm, which forwards these ports of it:
//
//	9180, 9181, 9182   the admin listeners of edge-1, edge-2 and edge-3
//	9170               orders of the test, see control.go
//
// It ends when it is told to, or with the guest.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// patience bounds waiting on a machine that emulates another one.
const patience = 2 * time.Minute

// token is what the nodes' admin listeners take orders with.
const token = "correct-horse-battery-staple"

func main() {
	if err := lab.Run(os.Stderr, show); err != nil {
		fmt.Fprintf(os.Stderr, "browser: %v\n", err)
		os.Exit(1)
	}
}

// show builds the edge, has clients use it, and waits for the end.
func show(t lab.T) {
	lab.NeedIPVS(t)
	manifests, err := manifests(time.Now())
	if err != nil {
		t.Fatalf("manifests: %v", err)
	}
	e := edge.New(t, lab.New(t), edge.Options{
		HTTPS:     true,
		Advert:    "2s", // the owner stays who it is while others need the processors
		Manifests: manifests,
		Pods:      map[string]int{"web": 3, "api": 2},
	})
	for _, n := range e.Nodes {
		if err := allowOrders(n); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
	}
	e.Start()
	owner := e.WaitReady(patience)
	t.Logf("%s owns %s", owner, e.VIP())

	client := e.Client.Probe(100*time.Millisecond, e.Request())
	defer client.Stop()
	defer e.Hold(12).Release()
	c := &control{edge: e, ended: make(chan struct{})}
	if err := c.serve(t); err != nil {
		t.Fatalf("control: %v", err)
	}
	<-c.ended
}
