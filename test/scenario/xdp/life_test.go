package xdp

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// TestDirectorDies has the program go on while the director is dead, and the
// next one adopt it; and then while the director replaces itself in place, as
// after an upgrade. It must be back before the others' down timer runs out, for
// which a slow machine needs longer adverts.
func TestDirectorDies(t *testing.T) {
	e, owner := start(t, edge.Options{Advert: "2s"})
	held := e.Hold(30)
	probe := e.Client.Probe(10*time.Millisecond, e.Request())
	owner.Director.Kill()
	owner.Director.Start()
	active(t, owner)
	carried(t, owner, "xdp native")
	held.WaitUsed(t)
	whole(t, "killed and started", probe.Stop(), held)

	before := owner.Director.Log()
	probe = e.Client.Probe(10*time.Millisecond, e.Request())
	owner.Director.Signal(syscall.SIGUSR2)
	var since string
	lab.Eventually(t, patience, "the director's next start", func() error {
		if since = owner.Director.Log()[len(before):]; !strings.Contains(since, "portico starts") {
			return errors.New(since)
		}
		return nil
	})
	active(t, owner)
	carried(t, owner, "xdp native")
	held.WaitUsed(t)
	whole(t, "replaced in place", probe.Stop(), held)
	if since = owner.Director.Log()[len(before):]; strings.Contains(since, "XDP leaves") || strings.Contains(since, "XDP takes") {
		t.Errorf("the program was off the interface:\n%s", since)
	}
}

// TestTakeOver moves the address, which every connection survives: the next
// owner finds the same servers for those it has never seen.
func TestTakeOver(t *testing.T) {
	e, owner := start(t, edge.Options{})
	held := e.Hold(30)
	probe := e.Client.Probe(10*time.Millisecond, e.Request())
	owner.Director.Stop()
	next := e.WaitOwner(patience, e.Others(owner)...)
	carried(t, next, "xdp native")
	held.WaitUsed(t)
	whole(t, fmt.Sprintf("stopped, and %s took over", next), probe.Stop(), held)
	owner.Director.Start()
	e.WaitReady(patience)
	carried(t, owner, "the service does not stand")
}

// active waits until a director that was started again has adopted its address.
func active(t *testing.T, n *edge.Node) {
	t.Helper()
	lab.Eventually(t, patience, n.Name()+" Active", func() error {
		g, err := n.Status().Group()
		if err == nil && g.State != "Active" {
			err = fmt.Errorf("%+v", g)
		}
		return err
	})
}

// whole fails the test if a connection broke or many requests failed. One that
// comes in the instant of a hand-over is answered by whoever has the address.
func whole(t *testing.T, what string, tl lab.Timeline, held *edge.Held) {
	t.Helper()
	t.Logf("figure: director %s: held connections %v; %v", what, held.Alive(), tl)
	if len(held.Broken()) > 0 {
		t.Errorf("%s: broken: %v", what, held.Broken())
	}
	if failed := len(tl.Failed()); failed*100 > len(tl.Attempts) {
		t.Errorf("%s: %d of %d requests failed: %v", what, failed, len(tl.Attempts), tl)
	}
}

// TestDrainedServerKeepsItsConnections leaves the old ones where they are, when
// the server leaves the configuration as well.
func TestDrainedServerKeepsItsConnections(t *testing.T) {
	e, owner := start(t, edge.Options{})
	held := e.Hold(30)
	server := e.Others(owner)[0]
	if out, err := owner.Portico("drain", server.Addr); err != nil {
		t.Fatalf("drain (%v): %s", err, out)
	}
	lab.Eventually(t, patience, "weight 0", func() error {
		if w := owner.Weight(server); w != 0 {
			return fmt.Errorf("%d", w)
		}
		return nil
	})
	tally := e.Client.Burst(100, 4, e.Request())
	if tally.Answered != 100 || tally.By[server.Name()] != 0 {
		t.Errorf("after the drain of %s: %v", server, tally)
	}
	held.WaitUsed(t)
	owner.RewriteConfig(func(text string) string {
		entry := fmt.Sprintf("{ address = %q }", server.Addr)
		return strings.NewReplacer(entry+", ", "", ", "+entry, "").Replace(text)
	})
	owner.Director.Reload()
	lab.Eventually(t, patience, "connections of the server that leaves", func() error {
		st := owner.Status()
		if st.Director == nil {
			return fmt.Errorf("no director: %v", st.Missing)
		}
		for _, v := range st.Director.L4.Services {
			for _, r := range v.Servers {
				if r.Health == "draining" && r.Active > 0 {
					return nil
				}
			}
		}
		return errors.New("none is counted")
	})
	held.WaitUsed(t)
	if len(held.Broken()) > 0 || held.Alive()[server.Name()] == 0 {
		t.Errorf("alive %v, broken %v", held.Alive(), held.Broken())
	}
}

// TestWithoutIPVS tells what XDP cannot do, where nobody else can.
func TestWithoutIPVS(t *testing.T) {
	l := lab.New(t)
	e := edge.New(t, l, edge.Options{Nodes: 1, Dataplane: "xdp", Services: `
[[l4.service]]
name      = "turn"
vip       = "edge"
port      = 81
scheduler = "rr"
server    = [{ address = "172.20.0.113" }]
`})
	e.Start()
	owner := e.WaitReady(patience)
	carried(t, owner, "xdp native")
	lab.Eventually(t, patience, "a reason", func() error {
		out, _ := owner.Portico("status")
		if want := "apply add tcp 172.20.0.119:81 rr with servers: 1: scheduler rr needs ip_vs, which is not available in this kernel"; !strings.Contains(out, want) {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	owner.RewriteConfig(func(text string) string { return strings.Replace(text, `dataplane = "xdp"`, `dataplane = "auto"`, 1) })
	owner.Director.Reload()
	lab.Eventually(t, patience, "a reload that is refused", func() error {
		out, _ := owner.Portico("status")
		if want := `l4.dataplane = "auto": ip_vs is not available in this kernel`; !strings.Contains(out, want) {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	carried(t, owner, "xdp native")
	owner.Director.Stop()
	if out, err := owner.Portico("flush"); err != nil {
		t.Errorf("flush (%v): %s", err, out)
	}
	if out := owner.Output("ip", "-d", "link", "show", "eth0"); strings.Contains(out, "prog/xdp") {
		t.Errorf("after a flush:\n%s", out)
	}
}
