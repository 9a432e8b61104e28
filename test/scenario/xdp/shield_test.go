package xdp

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const attackerAddr = "172.20.0.66"

// attacked is an edge with another client, who is up to no good.
func attacked(t *testing.T) (e *edge.Edge, owner *edge.Node, attacker *lab.Node) {
	t.Helper()
	l := lab.New(t)
	e = edge.New(t, l, edge.Options{Dataplane: "xdp"})
	attacker = l.Node("attacker")
	attacker.Attach(e.LAN, "eth0", attackerAddr+"/24")
	attacker.NoOffload("eth0")
	e.Start()
	owner = e.WaitReady(patience)
	carried(t, owner, "xdp native")
	return e, owner, attacker
}

// deny runs a command of portico deny, which has to work.
func deny(t *testing.T, n *edge.Node, args ...string) string {
	t.Helper()
	out, err := n.Portico(append([]string{"deny"}, args...)...)
	if err != nil {
		t.Fatalf("deny %q (%v): %s", args, err, out)
	}
	return out
}

// dropped is how many packets of the attacker were dropped, and whether it is
// denied.
func dropped(t *testing.T, n *edge.Node) (packets int, denied bool) {
	t.Helper()
	var l struct {
		Denials []struct {
			Network string
			Packets int
		}
	}
	if err := json.Unmarshal([]byte(deny(t, n, "list", "--json")), &l); err != nil {
		t.Fatal(err)
	}
	for _, d := range l.Denials {
		if d.Network == attackerAddr+"/32" {
			return d.Packets, true
		}
	}
	return 0, false
}

// shutOut waits until the attacker gets nothing, and looks if the others go on.
func shutOut(t *testing.T, e *edge.Edge, owner *edge.Node, attacker *lab.Node) {
	t.Helper()
	r := e.Request()
	r.Timeout = 500 * time.Millisecond
	lab.Eventually(t, patience, "nothing for the attacker", func() error {
		before, _ := dropped(t, owner)
		got := attacker.Burst(3, 3, r)
		if after, denied := dropped(t, owner); got.Answered > 0 || !denied || after == before {
			return fmt.Errorf("%v; denied %v, %d packets dropped, before %d", got, denied, after, before)
		}
		return nil
	})
	if got := e.Client.Burst(50, 4, e.Request()); got.Answered != 50 {
		t.Errorf("the others: %v", got)
	}
}

// TestDeniedNetwork shuts a client out, over a crash of the director, until its
// time is over.
func TestDeniedNetwork(t *testing.T) {
	e, owner, attacker := attacked(t)
	if got := attacker.Burst(10, 2, e.Request()); got.Answered != 10 {
		t.Fatalf("before: %v", got)
	}
	deny(t, owner, "add", attackerAddr, "--reason", "SYN flood")
	shutOut(t, e, owner, attacker)
	if list := deny(t, owner, "list"); !strings.Contains(list, attackerAddr+"/32") || !strings.Contains(list, "SYN flood") {
		t.Error(list)
	}
	if out, _ := owner.Portico("status"); !strings.Contains(out, "shield: 1 networks denied, 1 by order; ") {
		t.Error(out)
	}
	for network, why := range map[string]string{
		e.VIP(): "a virtual address of the group edge", owner.Addr: "an address of this node",
		"0.0.0.0/0": "is everybody", "192.0.2.1/24": "write 192.0.2.0/24",
	} {
		if out, err := owner.Portico("deny", "add", network); err == nil || !strings.Contains(out, why) {
			t.Errorf("deny %s (%v): %s", network, err, out)
		}
	}

	owner.Director.Kill()
	owner.Director.Start()
	active(t, owner)
	carried(t, owner, "xdp native")
	shutOut(t, e, owner, attacker)

	deny(t, owner, "add", attackerAddr, "--for", "1s")
	lab.Eventually(t, patience, "the end of the denial", func() error {
		got := attacker.Burst(3, 3, e.Request())
		if _, denied := dropped(t, owner); denied || got.Answered != 3 {
			return fmt.Errorf("denied %v, %v", denied, got)
		}
		return nil
	})
}

// TestSYNs has one edge bound SYNs by either means.
func TestSYNs(t *testing.T) {
	e, owner, attacker := attacked(t)
	t.Run("a limit for each source", func(t *testing.T) { limitSource(t, e, owner, attacker) })
	t.Run("cookies in a flood", func(t *testing.T) { flood(t, e, owner, attacker) })
}

// limitSource bounds by a reload what one source may open, while others and
// connections that stand go on.
func limitSource(t *testing.T, e *edge.Edge, owner *edge.Node, attacker *lab.Node) {
	held := e.Hold(10)
	const rate = 5
	owner.RewriteConfig(func(text string) string {
		return strings.Replace(text, "[[l4.service]]", fmt.Sprintf("[l4.shield]\nsyn_rate = %d\n\n[[l4.service]]", rate), 1)
	})
	owner.Director.Reload()
	lab.Eventually(t, patience, "a limit", func() error {
		if out, _ := owner.Portico("status"); !strings.Contains(out, "shield: 5 connections a second and source, 5 at once") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	carried(t, owner, "xdp native")

	var flood, others lab.Tally
	var attack sync.WaitGroup
	began := time.Now()
	attack.Go(func() {
		r := e.Request()
		r.Timeout = time.Second
		flood = attacker.Burst(150, 50, r)
	})
	others = e.Client.Burst(rate, 1, e.Request())
	attack.Wait()
	took := time.Since(began)
	if most := rate + int(rate*took.Seconds()) + rate; flood.Answered > most || flood.Answered == 0 {
		t.Errorf("the flood of %v: %v, want some, and %d at most", took, flood, most)
	}
	if others.Answered != rate {
		t.Errorf("the others: %v", others)
	}
	held.WaitUsed(t)
	if len(held.Broken()) > 0 {
		t.Errorf("broken: %v", held.Broken())
	}
	if out, _ := owner.Portico("status"); strings.Contains(out, " 0 SYNs dropped") || !strings.Contains(out, " SYNs dropped") {
		t.Error(out)
	}
}
