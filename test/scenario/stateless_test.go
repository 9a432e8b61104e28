package scenario

import (
	"cmp"
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

// A loss is one way to lose an owner, and its streams.
type loss struct {
	// machine says that the owner goes whole, with the connections it serves
	// itself; else its director dies, and its proxy lives on.
	machine bool
	// server says that the proxy of another node dies in the same second.
	server bool
	// young says that the streams were opened just before, so that the owner
	// may not have told of them; else they live for some seconds.
	young bool
	// some says that none need survive.
	some bool
}

func (l loss) String() string {
	s := "the owner's director dies"
	if l.machine {
		s = "the owner's machine dies"
	}
	if l.server {
		s += ", and a server elsewhere"
	}
	if l.young {
		s += ", right after the last stream opened"
	}
	return s
}

// TestStreamsOutliveTheOwner is the promise of failover without a memory of
// connections: with mh every node finds the server of a stream it has never
// seen. A stream whose server lives must live as well. Losses that say less
// than the worst one, and what other settings come to beside it, are for
// `make bench-detect`.
func TestStreamsOutliveTheOwner(t *testing.T) {
	e := start(t, edge.Options{})
	outlive(t, e, "mh", loss{machine: true, server: true, young: true})
	if !bench {
		return
	}
	for _, l := range []loss{{young: true}, {machine: true, young: true}} {
		outlive(t, e, "mh", l)
	}
	e.Reconfigure(func(o *edge.Options) { o.Scheduler = "rr" })
	outlive(t, e, "rr, for comparison", loss{machine: true, some: true})
}

const syncTable = "[l4.sync]\ninterface = \"eth0\"\nid = 51\n"

// TestStreamsOutliveTheOwnerBySync has the kernel's sync daemons tell of
// connections, which lets rr do what mh does by itself, but for the streams
// that are so young that nobody was told of them.
func TestStreamsOutliveTheOwnerBySync(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Services: syncTable})
	outlive(t, e, "rr, with sync", loss{machine: true, server: true})
	if !bench {
		return
	}
	for _, l := range []loss{{}, {machine: true}, {machine: true, young: true, some: true}} {
		outlive(t, e, "rr, with sync", l)
	}
	e.Reconfigure(func(o *edge.Options) { o.Scheduler = "mh" })
	outlive(t, e, "mh, with sync", loss{machine: true, server: true})
}

// outlive has streams live through a loss of the owner, and tells how many
// did. Those whose server lives must, unless the loss says otherwise.
func outlive(t *testing.T, e *edge.Edge, setting string, l loss) {
	t.Helper()
	old := e.WaitReady(patience)
	scheduled(t, e, old, setting)
	held := e.HoldEvery(streams, useEvery)
	if !l.young {
		// The kernel keeps what it has to tell for two seconds at most
		// (ip_vs_sync.c, IPVS_SYNC_FLUSH_TIME).
		held.WaitUsed(t)
		held.WaitUsed(t)
	}
	before := held.Alive()
	var gone []*edge.Node // with the streams they serve
	if l.server {
		gone = append(gone, e.Others(old)[0])
		gone[0].Proxy.Kill()
	}
	old.Director.Kill()
	if l.machine {
		gone = append(gone, old)
		e.LAN.Unplug(old.Node)
	}
	since := mark()
	next := holder(t, e, old)
	moved := since()
	held.WaitUsed(t, gone...)

	t.Logf("ipvsadm -Ln on %s:\n%s", next, next.IPVS())

	alive := held.Alive()
	could, did := streams, 0
	for _, n := range e.Nodes {
		if slices.Contains(gone, n) {
			could -= before[n.Name()]
		} else {
			did += alive[n.Name()]
		}
	}
	figure(t, "%s: %s: %d streams %v, %d of them on servers that live: %d survive; %s has the VIP after %v",
		setting, l, streams, before, could, did, next, moved)
	if !l.some && did != could {
		t.Errorf("%s: %s: of %d streams whose server lives %d survive: %v", setting, l, could, did, held.Broken())
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

// back makes the edge whole again. The director of a machine that died comes
// first and takes the VIP from its kernel, unheard, so that nobody sees two
// owners.
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

// TestSyncDaemonsFollowTheOwner looks at the kernels as ipvsadm does: who owns
// the VIP tells, the others listen and balance nothing.
func TestSyncDaemonsFollowTheOwner(t *testing.T) {
	e := start(t, edge.Options{Scheduler: "rr", Services: syncTable})
	owner := e.WaitReady(patience)
	roles(t, e, map[*edge.Node]string{owner: "master"})
	out, err := owner.Portico("status")
	if err != nil || !strings.Contains(out, "connections by multicast on eth0, id 51: master\n") {
		t.Errorf("status (%v) says\n%s", err, out)
	}

	owner.Output("ipvsadm", "--stop-daemon", "master")
	since := mark()
	lab.Eventually(t, patience, "the master back", func() error { return daemons(owner, "master") })
	figure(t, "a master stopped by hand is back after %v", since())
	if took := since(); took > 10*time.Second {
		t.Errorf("a master stopped by hand came back after %v", took)
	}

	owner.Director.Stop()
	next := e.WaitOwner(patience, e.Others(owner)...)
	roles(t, e, map[*edge.Node]string{next: "master"})
	if out, err := owner.Portico("flush"); err != nil {
		t.Errorf("flush (%v): %s", err, out)
	}
	if text := owner.Output("ipvsadm", "-L", "--daemon"); strings.Contains(text, "sync daemon") {
		t.Errorf("after a flush: %s", text)
	}
	if got := owner.GetSysctl("net.ipv4.vs.backup_only"); got != "0" {
		t.Errorf("after a flush backup_only is %s", got)
	}

	e.Reconfigure(func(o *edge.Options) { o.Services = "" })
	lab.Eventually(t, patience, "no daemons", func() error {
		for _, n := range e.Nodes {
			if text := n.Output("ipvsadm", "-L", "--daemon"); strings.Contains(text, "sync daemon") {
				return fmt.Errorf("%s: %s", n, text)
			}
		}
		return nil
	})
}

// TestSyncWithTwoOwners has two groups of addresses, each with an owner of its
// own: both tell and listen, and balance although they listen.
func TestSyncWithTwoOwners(t *testing.T) {
	lab.NeedIPVS(t)
	const second = "172.20.0.120"
	e := edge.New(t, lab.New(t), edge.Options{Scheduler: "rr"})
	for i, n := range e.Nodes {
		priority := []int{100, 200, 100}[i]
		n.RewriteConfig(func(text string) string {
			text = strings.Replace(text, "router_id = 51", fmt.Sprintf("router_id = 51, priority = %d", 210-priority), 1)
			return text + fmt.Sprintf("\n[[vip]]\nname = \"second\"\naddresses = [%q]\nvrrp = { router_id = 52, priority = %d, preempt = true }\n", second, priority) +
				fmt.Sprintf("\n[[l4.service]]\nname = \"second\"\nvip = \"second\"\nport = 80\nscheduler = \"rr\"\nserver = [%s]\n", e.Servers()) + syncTable
		})
	}
	e.Start()
	owner, other := e.WaitReady(patience), e.Nodes[1]
	lab.Eventually(t, patience, "the second address at "+other.Name(), func() error {
		for _, n := range e.Nodes {
			if table := n.IPVS(); strings.Contains(table, second) != (n == other) {
				return fmt.Errorf("%s has\n%s", n, table)
			}
		}
		return nil
	})
	roles(t, e, map[*edge.Node]string{owner: "master backup", other: "master backup"})
	for _, vip := range []string{e.VIP(), second} {
		tally := e.Client.Burst(connections, 4, lab.Request{URL: "http://" + vip + "/", Host: edge.Host, Server: edge.ByEdge})
		figure(t, "rr, with sync, two owners: %s: %v", vip, tally)
		if tally.Answered != connections {
			t.Errorf("%s: %v", vip, tally)
		}
	}
}

// roles waits until the nodes run the sync daemons given, and every other node
// a backup alone.
func roles(t *testing.T, e *edge.Edge, owners map[*edge.Node]string) {
	t.Helper()
	lab.Eventually(t, patience, "masters where an address is owned, backups elsewhere", func() error {
		for _, n := range e.Nodes {
			if err := daemons(n, cmp.Or(owners[n], "backup")); err != nil {
				return err
			}
		}
		return nil
	})
}

// daemons is nil if a node has the sync daemons wanted, and balances nothing
// where that is a backup alone.
func daemons(n *edge.Node, want string) error {
	text := n.Output("ipvsadm", "-L", "--daemon")
	var have []string
	for line := range strings.Lines(text) {
		if role, _, ok := strings.Cut(line, " sync daemon (mcast=eth0, syncid=51, "); ok {
			have = append(have, role)
		}
	}
	if got := strings.Join(have, " "); got != want {
		return fmt.Errorf("%s, which should be %s: %q", n, want, text)
	}
	only := map[bool]string{true: "1", false: "0"}[want == "backup"]
	if got := n.GetSysctl("net.ipv4.vs.backup_only"); got != only {
		return fmt.Errorf("%s: backup_only is %s, want %s", n, got, only)
	}
	return nil
}
