package scenario

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// TestDirectorIsKilledAndStarted has the new process adopt what the kernel
// holds: with rr, where nothing but the connection table leads a packet to its
// server, no connection may break. It has to be back before the down timer of
// the others runs out, for which an emulated machine needs longer adverts.
func TestDirectorIsKilledAndStarted(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Advert: "4s"})
	owner := e.WaitReady(patience)
	held := e.Hold(12)
	before := services(owner)
	probe := e.Client.Probe(probeEvery, e.Request())
	answers(t, probe, 50)
	since := mark()
	owner.Director.Kill()
	owner.Director.Start()
	active(t, owner)
	took := since()
	answers(t, probe, 100)
	tl := probe.Stop()
	held.WaitUsed(t)
	figure(t, "director killed and started: Active again after %v, held connections %v, broken %v; %v",
		took, held.Alive(), held.Broken(), tl)
	none(t, "director killed and started", tl)
	if len(held.Broken()) > 0 {
		t.Errorf("broken: %v", held.Broken())
	}
	if after := services(owner); after != before {
		t.Errorf("services before:\n%s\nafter:\n%s", before, after)
	}
	if now := e.WaitReady(patience); now != owner {
		t.Errorf("the owner was %s and is %s", owner, now)
	}
}

// TestDirectorIsStoppedAndStarted moves the VIP with mh and sloppy_tcp: every
// node finds the same server for a connection it has never seen.
func TestDirectorIsStoppedAndStarted(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "mh"})
	for try := 1; ; try++ {
		owner := e.WaitReady(patience)
		held := e.Hold(30)
		before := held.Alive()
		since := mark()
		owner.Director.Stop()
		took := since()
		next := e.WaitOwner(patience, e.Others(owner)...)
		held.WaitUsed(t)
		figure(t, "VIP moved from %s to %s in %v: held connections before %v, after %v", owner, next, took, before, held.Alive())
		owner.Director.Start()
		if now := e.WaitReady(patience); now != next {
			t.Errorf("the owner is %s, want %s", now, next)
		}
		held.WaitUsed(t)
		broken := held.Broken()
		held.Release()
		if took > handOver && try < tries {
			t.Logf("figure: the machine stood still meanwhile, once more")
			continue
		}
		if len(broken) > 0 {
			t.Errorf("broken: %v", broken)
		}
		return
	}
}

// handOver is how long a clean stop takes with an advert each second: until
// the successor speaks, and what is left to it to announce itself.
const handOver = 610*time.Millisecond + 250*time.Millisecond + 500*time.Millisecond

// TestUpgrade goes on as the binary on disk: the director in place, the
// proxies by a successor on the same sockets.
func TestUpgrade(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Advert: "4s"})
	owner := e.WaitReady(patience)
	before := services(owner)
	held := e.Hold(12)
	probe := e.Client.Probe(probeEvery, e.Request())
	answers(t, probe, 50)
	since := mark()
	owner.Director.Signal(syscall.SIGUSR2)
	lab.Eventually(t, patience, "the director's second start", func() error {
		if n := strings.Count(owner.Director.Log(), "portico starts"); n < 2 {
			return fmt.Errorf("%d starts", n)
		}
		return nil
	})
	active(t, owner)
	took := since()
	held.WaitUsed(t)
	answers(t, probe, 50)
	tl := probe.Stop()
	figure(t, "director upgraded: Active again after %v, held connections %v, broken %v; %v", took, held.Alive(), held.Broken(), tl)
	none(t, "director upgraded", tl)
	if len(held.Broken()) > 0 || services(owner) != before {
		t.Errorf("broken: %v, services:\n%s", held.Broken(), services(owner))
	}
	held.Release()

	long := longRequests(e, 6, 8*time.Second)
	probe = e.Client.Probe(probeEvery, e.Request())
	answers(t, probe, 50)
	for _, n := range e.Nodes {
		since := mark()
		n.Proxy.Signal(syscall.SIGUSR2)
		n.Proxy.WaitLog("successor serves", patience)
		figure(t, "proxy of %s: successor serves after %v", n, since())
	}
	answers(t, probe, 100)
	tl = probe.Stop()
	figure(t, "all proxies upgraded: %v", tl)
	none(t, "proxies upgraded", tl)
	ended := 0
	for err := range long {
		if err != nil {
			t.Errorf("a long request: %v", err)
		} else {
			ended++
		}
	}
	figure(t, "%d of 6 requests of 8 s finished across the proxies' upgrade", ended)
	for _, n := range e.Nodes {
		if err := n.Proxy.Wait(); err != nil {
			t.Errorf("the old proxy of %s: %v", n, err)
		}
	}
	tally := e.Client.Burst(60, 4, e.Request())
	figure(t, "successors alone: %v", tally)
	if tally.Answered != 60 {
		t.Errorf("successors alone: %v", tally)
	}
}

// longRequests starts n requests that are answered after a while, and returns
// when the Pods have them. The channel gives how each ended, and is then closed.
func longRequests(e *edge.Edge, n int, after time.Duration) <-chan error {
	results := make(chan error, n)
	for range n {
		go func() {
			client := e.Client.HTTPClient()
			client.Timeout = after + patience
			results <- get(client, fmt.Sprintf("http://%s/?after=%v", e.VIP(), after))
		}()
	}
	out := make(chan error)
	go func() {
		defer close(out)
		for range n {
			out <- <-results
		}
	}()
	e.WaitRequests(n, patience)
	return out
}

func get(client *http.Client, url string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Host = edge.Host
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// active waits until the director of n is Active by itself, and no longer
// adopting what it found.
func active(t *testing.T, n *edge.Node) {
	t.Helper()
	lab.Eventually(t, patience, n.Name()+" Active", func() error {
		g, err := n.Status().Group()
		if err == nil && g.State != "Active" {
			err = fmt.Errorf("%s: %s", g.State, g.Reason)
		}
		return err
	})
}

var counters = regexp.MustCompile(`(\d+) +\d+ +\d+ *\n`)

// services is the node's IPVS table without its counts of connections.
func services(n *edge.Node) string { return counters.ReplaceAllString(n.IPVS(), "$1\n") }
