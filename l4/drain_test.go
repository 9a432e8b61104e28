package l4_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

const drainTwo = `-A -t 192.0.2.10:80 -s wlc
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0
`

func draining(servers ...string) l4.Service {
	s := service("wlc", vip4, servers...)
	s.Drain = time.Minute
	return s
}

// A server that leaves the configuration gets no new connection, keeps those
// it has, and goes when it has none or when its time is up, also when the
// daemon starts again meanwhile.
func TestReloadDrains(t *testing.T) {
	gone := strings.Replace(drainTwo, "-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0\n", "", 1)
	both := strings.Replace(drainTwo, "-w 0", "-w 1", 1)
	start := func(t *testing.T, active, persistent int) *node {
		n := newNode(t)
		n.configure(draining("10.0.0.1", "10.0.0.2"))
		n.learn("10.0.0.1=up 10.0.0.2=up")
		n.sync(t)
		n.kernel.Count(key(80), server("10.0.0.2").Addr, active, persistent)
		n.configure(draining("10.0.0.1"))
		n.learn("10.0.0.1=up")
		n.sync(t)
		n.holds(t, "removed", drainTwo)
		return n
	}
	pass := func(t *testing.T, n *node, d time.Duration) {
		time.Sleep(d)
		n.sync(t)
	}
	t.Run("until none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 1, 0)
			s := n.Status().Services[0].Servers[1]
			if s.Health != "draining" || s.Active != 1 || !s.Until.Equal(time.Now().Add(time.Minute)) {
				t.Errorf("status %+v", s)
			}
			pass(t, n, 30*time.Second)
			n.holds(t, "with a connection", drainTwo)
			n.kernel.Count(key(80), server("10.0.0.2").Addr, 0, 0)
			n.sync(t)
			n.holds(t, "without", gone)
		})
	})
	t.Run("until its time is up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 0, 3)
			pass(t, n, 59*time.Second)
			n.holds(t, "before", drainTwo)
			pass(t, n, time.Second)
			n.holds(t, "after", gone)
		})
	})
	t.Run("a connection that opens in the last moment", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 0, 0)
			pass(t, n, time.Second)
			n.holds(t, "soon", drainTwo)
			pass(t, n, time.Second)
			n.holds(t, "later", gone)
		})
	})
	t.Run("over a restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 1, 0)
			time.Sleep(40 * time.Second)
			n.restart()
			n.configure(draining("10.0.0.1"))
			n.learn("10.0.0.1=up")
			n.sync(t)
			n.holds(t, "started again", drainTwo)
			pass(t, n, 20*time.Second)
			n.holds(t, "its time goes on", gone)
		})
	})
	t.Run("removed while the daemon was down", func(t *testing.T) {
		n := newNode(t)
		n.configure(draining("10.0.0.1", "10.0.0.2"))
		n.learn("10.0.0.1=up 10.0.0.2=up")
		n.sync(t)
		n.restart()
		n.configure(draining("10.0.0.1"))
		n.learn("10.0.0.1=up")
		n.sync(t)
		n.holds(t, "started", drainTwo)
	})
	t.Run("back before it is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 1, 0)
			n.configure(draining("10.0.0.1", "10.0.0.2"))
			n.learn("10.0.0.1=up 10.0.0.2=up")
			n.sync(t)
			n.holds(t, "back", both)
			pass(t, n, 2*time.Minute)
			n.holds(t, "stays", both)
		})
	})
	t.Run("what another tool added does not drain", func(t *testing.T) {
		n := start(t, 1, 0)
		op := l4.Op{Kind: l4.AddDest, Service: l4.VirtualService{Key: key(80)}, Dest: l4.Destination{Addr: server("10.0.0.9").Addr, Forward: l4.DirectRoute, Weight: 1}}
		if err := n.kernel.Apply(op); err != nil {
			t.Fatal(err)
		}
		n.sync(t)
		n.holds(t, "put right", drainTwo)
	})
}

// Datagrams have no close: while entries are left somebody may be talking.
func TestLeavingUDP(t *testing.T) {
	s := draining("10.0.0.1")
	s.Protocol = l4.UDP
	text := strings.ReplaceAll(drainTwo, "-t ", "-u ")
	have, last := l4test.Parse(t, text), l4test.Parse(t, text)
	now := time.Unix(1e9, 0)
	cfg := l4.Config{Services: []l4.Service{s}}
	after := func(d time.Duration) l4.Inputs { return l4.Inputs{Have: have, Now: now.Add(d)} }
	first := l4.Leaving(cfg, after(0), last, nil)
	have.Services[0].Destinations[1].Inactive = 1
	if got := l4.Leaving(cfg, after(10*time.Second), last, first); len(got) != 1 {
		t.Errorf("with an entry: %v", got)
	}
	have.Services[0].Destinations[1].Inactive = 0
	if got := l4.Leaving(cfg, after(10*time.Second), last, first); len(got) != 0 {
		t.Errorf("without: %v", got)
	}
}

func TestDrainByCommand(t *testing.T) {
	s := draining("10.0.0.1", "10.0.0.2")
	s.Servers[1].Name = "edge-2"
	const both = "10.0.0.1=up 10.0.0.2=up"
	n := newNode(t)
	n.configure(s)
	n.learn(both)
	n.sync(t)
	full := n.kernel.String()
	for _, target := range []string{"edge-2", "10.0.0.2", "10.0.0.2:80", "web/edge-2", "web/10.0.0.2"} {
		if err := n.Drain(target, false); err != nil {
			t.Fatal(err)
		}
		n.sync(t)
		n.holds(t, target, drainTwo)
		n.restart()
		n.configure(s)
		n.learn(both)
		n.sync(t)
		n.holds(t, target+", started again", drainTwo)
		if st := n.Status().Services[0].Servers; st[1].Drained.IsZero() || !st[0].Drained.IsZero() {
			t.Errorf("%s: status %+v", target, st)
		}
		n.kernel.Count(key(80), server("10.0.0.2").Addr, 2, 1)
		if st := n.Status().Drains; len(st) != 1 || st[0].Target != target || st[0].Programmed != 1 || st[0].Serving != 0 || st[0].Connections != 3 {
			t.Errorf("%s: drains %+v", target, st)
		}
		if err := n.Drain(target, true); err != nil {
			t.Fatal(err)
		}
		n.sync(t)
		n.holds(t, target+" given back", full)
		o := n.Status().DrainOrders
		if last := o[len(o)-1]; last.Seq != uint64(len(o)) || last.Target != target || last.Drained || last.At.IsZero() {
			t.Errorf("%s: orders %+v", target, o)
		}
	}
	for _, target := range []string{"edge-1", "10.0.0.3", "10.0.0.2:81", "other/edge-2", "", "web/", "web"} {
		if err := n.Drain(target, false); !errors.Is(err, l4.ErrNoServer) {
			t.Errorf("%q: %v", target, err)
		}
	}
	if err := n.Drain("edge-2", true); err == nil {
		t.Error("given back what was not drained")
	}
	// With nobody else up, the operator's word still counts.
	if err := n.Drain("edge-2", false); err != nil {
		t.Fatal(err)
	}
	n.learn("10.0.0.1=down 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "all others down", drainTwo)
	// An order that cannot be remembered is refused.
	if err := os.Remove(n.file + ".drains"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(n.file+".drains", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.Drain("10.0.0.1", false); err == nil {
		t.Error("an order that cannot be written was taken")
	}
}

func TestPlanQuorum(t *testing.T) {
	sorry := netip.MustParseAddrPort("10.0.0.9:80")
	for name, tt := range map[string]struct {
		allDown l4.AllDown
		quorum  int
		health  string
		want    string
	}{
		"reject, enough":         {l4.Reject, 2, "10.0.0.1=up 10.0.0.2=up 10.0.0.3=down", "10.0.0.1*1 10.0.0.2*1 10.0.0.3*0"},
		"reject, too few":        {l4.Reject, 2, "10.0.0.1=up 10.0.0.2=down 10.0.0.3=down", "10.0.0.1*0 10.0.0.2*0 10.0.0.3*0"},
		"reject, none":           {l4.Reject, 1, "10.0.0.1=down 10.0.0.2=down 10.0.0.3=down", "10.0.0.1*0 10.0.0.2*0 10.0.0.3*0"},
		"sorry, enough":          {l4.Sorry, 1, "10.0.0.1=up 10.0.0.2=down 10.0.0.3=down", "10.0.0.1*1 10.0.0.2*0 10.0.0.3*0"},
		"sorry, too few":         {l4.Sorry, 2, "10.0.0.1=up 10.0.0.2=down 10.0.0.3=down", "10.0.0.9*1 10.0.0.1*0 10.0.0.2*0 10.0.0.3*0"},
		"sorry, not known yet":   {l4.Sorry, 1, "10.0.0.1=down", "10.0.0.1*0 10.0.0.2*0 10.0.0.3*0"},
		"too few, but not known": {l4.Reject, 2, "10.0.0.1=up", "10.0.0.1*1 10.0.0.2*0 10.0.0.3*0"},
	} {
		s := service("wlc", vip4, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		s.AllDown, s.Quorum = tt.allDown, tt.quorum
		if tt.allDown == l4.Sorry {
			s.Sorry = sorry
		}
		got := l4.Plan(l4.Config{Services: []l4.Service{s}}, l4.Inputs{Health: snapshot(tt.health), Owned: everywhere})
		if diff := cmp.Diff(tt.want, weights(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func weights(s l4.State) string {
	var words []string
	for _, d := range s.Services[0].Destinations {
		words = append(words, d.Addr.Addr().String()+"*"+string(rune('0'+d.Weight)))
	}
	return strings.Join(words, " ")
}

// A sorry server that is needed no more keeps the connections it has.
func TestSorryServerDrains(t *testing.T) {
	n := newNode(t)
	s := service("mh", vip4, "10.0.0.1", "10.0.0.2")
	s.AllDown, s.Sorry, s.Drain = l4.Sorry, netip.MustParseAddrPort("10.0.0.9:80"), time.Minute
	n.configure(s)
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "not needed", twoUp)
	n.kernel.Ops()
	n.learn("10.0.0.1=down 10.0.0.2=down")
	n.sync(t)
	if diff := cmp.Diff([]string{
		"add tcp 192.0.2.10:80 -> 10.0.0.9:80 weight 1",
		"set tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 0",
		"set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0",
	}, n.kernel.Ops()); diff != "" {
		t.Errorf("all down: nobody may move (-want +got):\n%s", diff)
	}
	if st := n.Status().Services[0].Servers[2]; !st.Sorry || st.Weight != 1 {
		t.Errorf("status %+v", st)
	}
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "back", strings.Replace(twoUp, "mh-port\n", "mh-port\n-a -t 192.0.2.10:80 -r 10.0.0.9:80 -g -w 0\n", 1))
}

// However long it answered, it has the whole time to drain when it is needed
// no more, and is not shown as draining before.
func TestSorryServerDrainsInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		s := service("wlc", vip4, "10.0.0.1")
		s.AllDown, s.Sorry, s.Drain = l4.Sorry, netip.MustParseAddrPort("10.0.0.9:80"), time.Minute
		n.configure(s)
		n.learn("10.0.0.1=down")
		for range 59 {
			n.sync(t)
			time.Sleep(time.Second)
		}
		if servers := n.Status().Services[0].Servers; len(servers) != 2 || !servers[1].Sorry {
			t.Errorf("while it answers: status %+v", servers)
		}
		n.kernel.Count(key(80), s.Sorry, 1, 0)
		n.learn("10.0.0.1=up")
		n.sync(t)
		if servers := n.Status().Services[0].Servers; len(servers) != 2 || !servers[1].Until.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("afterwards: status %+v", servers)
		}
		time.Sleep(59 * time.Second)
		n.sync(t)
		if st := n.kernel.String(); !strings.Contains(st, "10.0.0.9:80 -g -w 0") {
			t.Errorf("its time is not up, and it is gone:\n%s", st)
		}
		time.Sleep(time.Second)
		n.sync(t)
		if st := n.kernel.String(); strings.Contains(st, "10.0.0.9") {
			t.Errorf("its time is up:\n%s", st)
		}
	})
}

func TestSlowStart(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := service("wlc", vip4, "10.0.0.1*100")
	s.SlowStart = 10 * time.Second
	for _, tt := range []struct {
		up   time.Duration
		have int
		want int
	}{
		{0, 0, 1}, {3 * time.Second, 0, 30}, {3 * time.Second, 40, 40}, {3 * time.Second, 500, 100}, {9999 * time.Millisecond, 0, 99}, {10 * time.Second, 0, 100}, {time.Hour, 1, 100},
	} {
		h := health.NewSnapshot(map[health.Check]health.State{s.Servers[0].Check: {Known: true, Up: true, Since: now.Add(-tt.up)}})
		var have l4.State
		have.Services = []l4.VirtualService{{Key: key(80), Destinations: []l4.Destination{{Addr: s.Servers[0].Addr, Weight: tt.have}}}}
		got := l4.Plan(l4.Config{Services: []l4.Service{s}}, l4.Inputs{Now: now, Health: h, Owned: everywhere, Have: have})
		if w := got.Services[0].Destinations[0].Weight; w != tt.want {
			t.Errorf("up for %s with %d: got %d, want %d", tt.up, tt.have, w, tt.want)
		}
	}
}

// While a server comes up slowly there is a step a second.
func TestRunSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		s := service("wlc", vip4, "10.0.0.1*100")
		s.SlowStart = 10 * time.Second
		n.configure(s)
		n.health.Store(health.NewSnapshot(map[health.Check]health.State{s.Servers[0].Check: {Known: true, Up: true, Since: time.Now()}}))
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- n.Run(ctx, func() {}) }()
		time.Sleep(11*time.Second + time.Millisecond)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		sets := 0
		for _, op := range n.kernel.Ops() {
			if strings.HasPrefix(op, "set tcp") {
				sets++
			}
		}
		if have := read(t, n.kernel).Services[0].Destinations[0].Weight; have != 100 || sets < 9 || sets > 11 {
			t.Errorf("weight %d after %d steps", have, sets)
		}
	})
}

// A service that the kernel refuses says nothing about the others: their
// servers drain when they leave, and what another tool adds does not.
func TestDrainsBesideARefusal(t *testing.T) {
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprintf("a pass without it before %v", before), func(t *testing.T) { drainsBesideARefusal(t, before) })
	}
}

func drainsBesideARefusal(t *testing.T, before bool) {
	n := newNode(t)
	n.kernel.Refuse(func(op l4.Op) error {
		if op.Service.Scheduler == "dh" {
			return errors.New("no such scheduler")
		}
		return nil
	})
	if before {
		n.configure(draining("10.0.0.1"))
		n.learn("10.0.0.1=up")
		n.sync(t)
	}
	refused := service("dh", vip6, "2001:db8::1")
	refused.Name = "refused"
	pass := func(servers ...string) {
		t.Helper()
		n.configure(draining(servers...), refused)
		n.learn("10.0.0.1=up 10.0.0.2=up 2001:db8::1=up")
		if err := n.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "no such scheduler") {
			t.Errorf("got %v", err)
		}
	}
	pass("10.0.0.1")
	op := l4.Op{Kind: l4.AddDest, Service: l4.VirtualService{Key: key(80)}, Dest: l4.Destination{Addr: server("10.0.0.9").Addr, Forward: l4.DirectRoute, Weight: 1}}
	if err := n.kernel.Apply(op); err != nil {
		t.Fatal(err)
	}
	both := `-A -t 192.0.2.10:80 -s wlc
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
`
	pass("10.0.0.1", "10.0.0.2")
	n.holds(t, "one came, and another tool's went", both)
	n.kernel.Count(key(80), server("10.0.0.2").Addr, 1, 0)
	pass("10.0.0.1")
	n.holds(t, "removed", strings.Replace(both, "-w 1", "-w 0", 1))
	if log := n.log.String(); strings.Contains(log, "another tool") {
		t.Errorf("what the kernel refuses is taken for another tool's change:\n%s", log)
	}
}
