package scenario

import (
	"errors"
	"fmt"
	"syscall"
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
	// lossless says that no request may fail, but for one in a hundred: a new
	// connection that meets the next owner's service in the instant before
	// its first server stands is refused.
	lossless bool
	// down says that the old owner's proxy cannot be reached.
	down bool
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
		name: "both processes stopped", lossless: true, down: true,
		come: func(_ *edge.Edge, n *edge.Node) { n.Proxy.Signal(syscall.SIGTERM); n.Director.Stop() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Proxy.Stop(); n.Proxy.Start(); n.Director.Start() },
	},
	{
		name: "both processes killed", lasting: true, silent: true, down: true,
		come: func(_ *edge.Edge, n *edge.Node) { n.Director.Kill(); n.Proxy.Kill() },
		back: func(_ *edge.Edge, n *edge.Node) { n.Proxy.Start(); n.Director.Start() },
	},
	{
		name: "link lost", silent: true, down: true,
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
		for try := 1; !takeOver(t, e, end, advert, try == tries); try++ {
			t.Logf("figure: %s: the machine stood still meanwhile, once more", end.name)
		}
	}
}

// tries is how often a take-over is repeated on a machine that stands still
// for as long as what is measured takes.
const tries = 3

// takeOver ends an owner and has it come back. It reports false if the machine
// was too slow to tell anything by it, unless it is the last try.
func takeOver(t *testing.T, e *edge.Edge, end end, advert time.Duration, last bool) bool {
	old := e.WaitReady(patience)
	probe := e.Client.Probe(probeEvery, e.Request())
	answers(t, probe, 50)
	since := mark()
	end.come(e, old)
	ended := since()
	holder(t, e, old)
	moved := since()
	answers(t, probe, 150)
	tl := probe.Stop()
	next := holder(t, e, old)
	figure(t, "%s (%s, took %v): %s has the VIP after %v; %v", end.name, old, ended, next, moved, tl)
	told := moved <= end.longest(advert)
	if told || last {
		if gap := tl.LongestGap().Length(); gap > end.longest(advert) {
			t.Errorf("%s: nothing for %v, want %v at most", end.name, ms(gap), end.longest(advert))
		}
		if failed := len(tl.Failed()); end.lossless && failed*100 > len(tl.Attempts) {
			t.Errorf("%s: %d of %d requests failed: %v", end.name, failed, len(tl.Attempts), tl)
		}
	}
	if end.lasting && !old.HasAddr("eth0", e.VIP()) {
		t.Errorf("%s: the kernel of %s lost the VIP", end.name, old)
	}
	if end.down {
		weight(t, next, old, 0)
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
	return told || last
}

// holder waits until a node other than old has the VIP, and only one: of two
// with the same priority, both may take over at the same moment.
func holder(t *testing.T, e *edge.Edge, old *edge.Node) (next *edge.Node) {
	t.Helper()
	lab.Eventually(t, patience, "one new owner", func() error {
		next = nil
		for _, n := range e.Others(old) {
			switch has := n.HasAddr("eth0", e.VIP()); {
			case has && next != nil:
				return fmt.Errorf("%v have the VIP", e.Holders())
			case has:
				next = n
			}
		}
		if next == nil {
			return errors.New("nobody has the VIP")
		}
		return nil
	})
	return next
}

// longest is how long the take-over may take, and the client may see nothing:
// the down timer where nobody speaks, the skew (RFC 9568, section 6.1) and
// what a hand-over takes where the owner resigns, and a moment for the slow machine.
func (e end) longest(advert time.Duration) time.Duration {
	timers := advert + 250*time.Millisecond
	if e.silent {
		timers = 4 * advert
	}
	return timers + 500*time.Millisecond
}
