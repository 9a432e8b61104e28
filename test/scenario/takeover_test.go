package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// probeEvery is how often the client of a take-over makes a request.
const probeEvery = 10 * time.Millisecond

// An end is a way in which an owner goes, and how it comes back.
type end struct {
	name       string
	come, back func(*edge.Edge, *edge.Node)
	// lasting says that the kernel of the old owner keeps VIP and services.
	lasting bool
	// silent says that nobody tells the others: their down timer must run out.
	silent bool
	// lossless says that no request may fail.
	lossless bool
}

var ends = []end{
	{
		name: "director stopped", lossless: true,
		come: func(_ *edge.Edge, n *edge.Node) { n.Director.Stop() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Director.Start() },
	},
	{
		name: "director killed", lasting: true, silent: true, lossless: true,
		come: func(_ *edge.Edge, n *edge.Node) { n.Director.Kill() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Director.Start() },
	},
	{
		name: "both processes stopped",
		come: func(_ *edge.Edge, n *edge.Node) { n.Director.Stop(); n.Proxy.Stop() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Proxy.Start(); n.Director.Start() },
	},
	{
		name: "both processes killed", lasting: true, silent: true,
		come: func(_ *edge.Edge, n *edge.Node) { n.Director.Kill(); n.Proxy.Kill() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Proxy.Start(); n.Director.Start() },
	},
	{
		name: "link lost", silent: true,
		come: func(e *edge.Edge, n *edge.Node) { e.LAN.Unplug(n.Node) },
		back: func(e *edge.Edge, n *edge.Node) { e.LAN.Plug(n.Node) },
	},
}

func TestTakeOverWithAdvertsEachSecond(t *testing.T) { takeOvers(t, time.Second) }
func TestTakeOverWithAdvertsEach100ms(t *testing.T)  { takeOvers(t, 100*time.Millisecond) }

// takeOvers ends one owner after the other, each in another way, while a
// client makes a request every 10 ms.
func takeOvers(t *testing.T, advert time.Duration) {
	e := start(t, edge.Options{Advert: advert.String()})
	for _, end := range ends {
		old := e.WaitReady(patience)
		probe := e.Client.Probe(probeEvery, e.Request())
		answers(t, probe, 50)
		since := mark()
		end.come(e, old)
		moved := since()
		next := holder(t, e, old)
		moved = since() - moved
		answers(t, probe, 150)
		tl := probe.Stop()
		figure(t, "%s (%s): %s has it after %v; %v", end.name, old, next, moved, tl)
		if gap := tl.LongestGap().Length(); gap > longestGap(end, advert) {
			t.Errorf("%s: nothing for %v, want %v at most", end.name, ms(gap), longestGap(end, advert))
		}
		if end.lossless {
			none(t, end.name, tl)
		}
		if end.lasting && !old.HasAddr("eth0", e.VIP()) {
			t.Errorf("%s: the kernel of %s lost the VIP", end.name, old)
		}

		// The old owner comes back, and takes nothing.
		probe = e.Client.Probe(probeEvery, e.Request())
		end.back(e, old)
		e.WaitOwner(patience, next)
		if owner := e.WaitReady(patience); owner != next {
			t.Errorf("%s: %s came back, and now the owner is %s, not %s", end.name, old, owner, next)
		}
		answers(t, probe, 50)
		tl = probe.Stop()
		figure(t, "%s comes back after %q: %v", old, end.name, tl)
		none(t, old.Name()+" comes back", tl)
	}
}

// holder waits until a node other than old has the VIP.
func holder(t *testing.T, e *edge.Edge, old *edge.Node) (next *edge.Node) {
	t.Helper()
	lab.Eventually(t, patience, "a new owner", func() error {
		for _, n := range e.Others(old) {
			if n.HasAddr("eth0", e.VIP()) {
				next = n
				return nil
			}
		}
		return fmt.Errorf("%v have the VIP", e.Holders())
	})
	return next
}

// longestGap is how long a client may see nothing: the down timer (RFC 9568,
// section 6.1) where nobody speaks, and a second for the slow machine.
func longestGap(e end, advert time.Duration) time.Duration {
	gap := time.Second
	if e.silent && !e.lossless {
		gap += 4 * advert
	}
	return gap
}
