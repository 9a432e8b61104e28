package l4_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

// node is a reconciler over a fake kernel, and what it is told.
type node struct {
	*l4.Reconciler
	kernel *l4test.Fake
	health atomic.Pointer[health.Snapshot]
	owner  atomic.Bool
	bell   chan struct{}
	log    strings.Builder
	file   string
}

func newNode(t *testing.T) *node {
	n := &node{kernel: l4test.NewFake(), bell: make(chan struct{}, 1), file: filepath.Join(t.TempDir(), "l4")}
	n.owner.Store(true)
	n.restart()
	return n
}

// restart puts a fresh reconciler over the same kernel and state file.
func (n *node) restart() {
	n.health.Store(snapshot(""))
	n.Reconciler = l4.New(l4.Options{
		Log:           slog.New(slog.NewTextHandler(&n.log, nil)),
		Dataplane:     n.kernel,
		Health:        n.health.Load,
		HealthChanged: n.bell,
		Owned:         func(netip.Addr) bool { return n.owner.Load() },
		StateFile:     n.file,
		DrainFile:     n.file + ".drains",
	})
}

func (n *node) sync(t *testing.T) {
	t.Helper()
	if err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) configure(services ...l4.Service) { n.Set(l4.Config{Services: services}) }

func (n *node) learn(words string) { n.health.Store(snapshot(words)) }

const twoUp = `-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`

// holds fails unless the kernel holds want.
func (n *node) holds(t *testing.T, when, want string) {
	t.Helper()
	if diff := cmp.Diff(want, n.kernel.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestSync(t *testing.T) {
	n := newNode(t)
	n.sync(t)
	n.holds(t, "nothing configured", "")

	n.configure(service("mh", vip4, "10.0.0.1", "10.0.0.2"))
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "configured", twoUp)
	if ops := n.kernel.Ops(); ops[0] != "set net.ipv4.vs.expire_nodest_conn = 1" || ops[len(ops)-1] != "set net.ipv4.vs.sloppy_tcp = 1" {
		t.Errorf("settings do not come first, and sloppy_tcp last: %q", ops)
	}

	n.sync(t)
	if ops := n.kernel.Ops(); ops != nil {
		t.Errorf("nothing changed, and yet: %q", ops)
	}

	n.learn("10.0.0.1=down 10.0.0.2=up")
	n.sync(t)
	if got := fmt.Sprint(n.kernel.Ops()); got != "[set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0]" {
		t.Errorf("a server fails: %s", got)
	}
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "back", twoUp)

	n.owner.Store(false)
	n.sync(t)
	n.holds(t, "the address went to another node", "")
	n.owner.Store(true)
	n.sync(t)
	n.holds(t, "and came back", twoUp)

	n.configure()
	n.sync(t)
	n.holds(t, "removed from the configuration", "")
}

func TestSyncPutsBack(t *testing.T) {
	n := newNode(t)
	n.configure(service("mh", vip4, "10.0.0.1", "10.0.0.2"))
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	k := key(80)
	for name, op := range map[string]l4.Op{
		"service deleted": {Kind: l4.DelService, Service: l4.VirtualService{Key: k}},
		"server deleted":  {Kind: l4.DelDest, Service: l4.VirtualService{Key: k}, Dest: l4.Destination{Addr: server("10.0.0.2").Addr}},
		"scheduler set":   {Kind: l4.SetService, Service: l4.VirtualService{Key: k, Scheduler: "rr"}},
		"server added":    {Kind: l4.AddDest, Service: l4.VirtualService{Key: k}, Dest: l4.Destination{Addr: server("10.0.0.9").Addr, Weight: 1}},
		"weight set":      {Kind: l4.SetDest, Service: l4.VirtualService{Key: k}, Dest: l4.Destination{Addr: server("10.0.0.1").Addr, Weight: 9}},
	} {
		if err := n.kernel.Apply(op); err != nil {
			t.Fatal(err)
		}
		n.log.Reset()
		n.sync(t)
		n.holds(t, name, twoUp)
		if !strings.Contains(n.log.String(), "another tool") {
			t.Errorf("%s: not told: %s", name, n.log.String())
		}
	}
}

func TestSyncLeavesForeignServices(t *testing.T) {
	n := newNode(t)
	other := l4.VirtualService{Key: l4.Key{Protocol: l4.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:443")}, Scheduler: "wrr"}
	if err := n.kernel.Apply(l4.Op{Kind: l4.AddService, Service: other}); err != nil {
		t.Fatal(err)
	}
	n.configure(service("rr", vip4, "10.0.0.1"))
	n.sync(t)
	n.owner.Store(false)
	n.sync(t)
	n.configure()
	n.sync(t)
	n.holds(t, "at the end", "-A -t 192.0.2.10:443 -s wrr\n")
}

func TestRestart(t *testing.T) {
	n := newNode(t)
	web, old := service("mh", vip4, "10.0.0.1", "10.0.0.2", "10.0.0.3"), service("rr", vip4, "10.0.0.1")
	old.Port = 8080
	n.configure(web, old)
	n.learn("10.0.0.1=up 10.0.0.2=up 10.0.0.3=down")
	n.sync(t)

	n.restart()
	n.configure(web)
	n.kernel.Ops()
	n.sync(t)
	n.holds(t, "adopted before any check answered", `-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 0
`)
	// The service that left the configuration meanwhile goes, and the server
	// whose latest weight nobody can tell is set to a known one.
	want := []string{
		"delete tcp 192.0.2.10:8080",
		"set tcp 192.0.2.10:80 -> 10.0.0.3:80 weight 1",
		"set tcp 192.0.2.10:80 -> 10.0.0.3:80 weight 0",
	}
	if diff := cmp.Diff(want, n.kernel.Ops()); diff != "" {
		t.Errorf("adoption (-want +got):\n%s", diff)
	}
}

// A state file that was lost or damaged costs the memory of what left the
// configuration, nothing else.
func TestRestartWithoutStateFile(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"lost":    os.Remove,
		"damaged": func(f string) error { return os.WriteFile(f, []byte("\x00"), 0o600) },
	} {
		n := newNode(t)
		n.configure(service("rr", vip4, "10.0.0.1"))
		n.learn("10.0.0.1=up")
		n.sync(t)
		if err := damage(n.file); err != nil {
			t.Fatal(err)
		}
		n.restart()
		n.configure(service("rr", vip4, "10.0.0.1"))
		n.owner.Store(false)
		n.sync(t)
		n.holds(t, name, "")
	}
}

// What a pass began and did not finish is known for ours afterwards.
func TestRestartAfterHalfAPass(t *testing.T) {
	n := newNode(t)
	later := service("rr", vip6, "2001:db8::1")
	later.Name = "later"
	n.configure(service("rr", vip4, "10.0.0.1"), later)
	n.kernel.Refuse(func(op l4.Op) error {
		if op.Service.Key.Addr.Addr().Is6() {
			return errors.New("killed here")
		}
		return nil
	})
	if err := n.Sync(t.Context()); err == nil {
		t.Fatal("not refused")
	}
	n.holds(t, "half", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 0\n")
	n.kernel.Refuse(nil)
	n.restart()
	n.configure()
	n.sync(t)
	n.holds(t, "removed from the configuration meanwhile", "")
}

func TestSyncGoesOnAfterARefusal(t *testing.T) {
	n := newNode(t)
	bad, good := service("mh", vip4, "10.0.0.1"), service("rr", vip6, "2001:db8::1")
	good.Name = "good"
	n.configure(bad, good)
	n.learn("10.0.0.1=up 2001:db8::1=up")
	n.kernel.Refuse(func(op l4.Op) error {
		if op.Service.Scheduler == "mh" {
			return errors.New("no such scheduler")
		}
		return nil
	})
	err := n.Sync(t.Context())
	if err == nil || err.Error() != "apply add tcp 192.0.2.10:80 mh with servers: 1: no such scheduler" {
		t.Errorf("got %v", err)
	}
	n.holds(t, "half", "-A -t [2001:db8::10]:80 -s rr\n-a -t [2001:db8::10]:80 -r [2001:db8::1]:80 -g -w 1\n")
	st := n.Status()
	if st.LastError == "" || st.Services[0].Programmed || !st.Services[1].Programmed {
		t.Errorf("status %+v", st)
	}
	n.Sync(t.Context())
	if c := strings.Count(n.log.String(), "no such scheduler"); c != 1 {
		t.Errorf("logged %d times, want once", c)
	}
	n.kernel.Refuse(nil)
	n.sync(t)
	if st := n.Status(); st.LastError != "" || !st.Services[0].Programmed {
		t.Errorf("status %+v", st)
	}
}

func TestFlush(t *testing.T) {
	n := newNode(t)
	other := l4.VirtualService{Key: key(443), Scheduler: "rr"}
	if err := n.kernel.Apply(l4.Op{Kind: l4.AddService, Service: other}); err != nil {
		t.Fatal(err)
	}
	if err := n.kernel.Apply(l4.Op{Kind: l4.SetSysctl, Sysctl: "expire_nodest_conn", Value: 1}); err != nil {
		t.Fatal(err)
	}
	n.configure(service("mh", vip4, "10.0.0.1"))
	n.sync(t)
	n.restart() // finds the sysctls as the one before it set them
	n.configure(service("mh", vip4, "10.0.0.1"))
	n.sync(t)
	for range 2 {
		if err := l4.Flush(n.kernel, n.file); err != nil {
			t.Fatal(err)
		}
		n.holds(t, "flushed", "-A -t 192.0.2.10:443 -s rr\n")
		have, err := n.kernel.Read()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"expire_nodest_conn": 1, "expire_quiescent_template": 0, "sloppy_tcp": 0, "sloppy_sctp": 0, "backup_only": 0}, have.Sysctls); diff != "" {
			t.Errorf("sysctls after a flush (-before +after):\n%s", diff)
		}
	}
}

// Whatever happened to each, two nodes that are configured alike and see the
// servers alike hold the same destinations, in the same order, with the same
// bases: the kernel then builds the same mh table and makes the same choice.
func TestNodesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		a, b := newNode(t), newNode(t)
		for _, n := range []*node{a, b} {
			for range rng.IntN(12) {
				n.configure(service("mh", vip4, someServers(rng)...))
				n.learn(someHealth(rng))
				switch rng.IntN(6) {
				case 0:
					n.restart()
				case 1:
					n.owner.Store(rng.IntN(2) == 0)
				}
				n.sync(t)
			}
		}
		servers := append(someServers(rng), "10.0.0.9*2")
		words := someHealth(rng) + " 10.0.0.9=up"
		for _, n := range []*node{a, b} {
			n.owner.Store(true)
			n.configure(service("mh", vip4, servers...))
			n.learn(words)
			n.sync(t)
		}
		if diff := cmp.Diff(a.kernel.String(), b.kernel.String()); diff != "" {
			t.Fatalf("(-a +b):\n%s", diff)
		}
		if x, y := a.kernel.Table(key(80)), b.kernel.Table(key(80)); x != y || strings.Contains(x, "*0") {
			t.Fatalf("tables are built from\n%s\n%s", x, y)
		}
	}
}

func someServers(rng *rand.Rand) (servers []string) {
	for n := range 5 {
		if rng.IntN(4) > 0 {
			servers = append(servers, fmt.Sprintf("10.0.0.%d*%d", n, rng.IntN(3)))
		}
	}
	rng.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	return servers
}

func someHealth(rng *rand.Rand) string {
	var words []string
	for n := range 5 {
		words = append(words, fmt.Sprintf("10.0.0.%d=%s", n, []string{"up", "down"}[rng.IntN(2)]))
	}
	return strings.Join(words, " ")
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.configure(service("mh", vip4, "10.0.0.1", "10.0.0.2"))
		n.learn("10.0.0.1=up 10.0.0.2=up")
		ctx, cancel := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error)
		go func() { done <- n.Run(ctx, func() { close(ready) }) }()
		<-ready
		n.holds(t, "ready", twoUp)

		n.learn("10.0.0.1=up 10.0.0.2=down")
		n.bell <- struct{}{}
		synctest.Wait()
		n.holds(t, "health rang", strings.Replace(twoUp, "10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 0", 1))
		n.learn("10.0.0.1=up 10.0.0.2=up")
		n.Kick()
		synctest.Wait()
		n.holds(t, "kicked", twoUp)

		gone := l4.Op{Kind: l4.DelService, Service: l4.VirtualService{Key: key(80)}}
		if err := n.kernel.Apply(gone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		n.holds(t, "three seconds after another tool deleted it", twoUp)

		n.kernel.Refuse(func(l4.Op) error { return errors.New("not now") })
		if err := n.kernel.Apply(gone); err == nil {
			t.Fatal("not refused")
		}
		n.learn("10.0.0.1=up 10.0.0.2=down")
		n.Kick()
		synctest.Wait()
		n.kernel.Refuse(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		n.holds(t, "a second after a failure", strings.Replace(twoUp, "10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 0", 1))

		held := n.kernel.String()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		n.holds(t, "stopped", held)
	})
}

// A kernel that refuses is asked less and less often, and no less than every
// ten seconds.
func TestRunWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.configure(service("rr", vip4, "10.0.0.1"))
		n.sync(t)
		n.learn("10.0.0.1=up")
		begin := time.Now()
		var at []time.Duration
		n.kernel.Refuse(func(op l4.Op) error {
			at = append(at, time.Since(begin))
			return errors.New("not now")
		})
		ctx, cancel := context.WithTimeout(t.Context(), 36*time.Second)
		defer cancel()
		if err := n.Run(ctx, func() {}); err != nil {
			t.Error(err)
		}
		// The first pass is followed at once by another: Set has rung.
		var want []time.Duration
		for _, s := range []int{0, 2, 6, 14, 24, 34} {
			want = append(want, time.Duration(s)*time.Second)
		}
		if diff := cmp.Diff(want, slices.Compact(at)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// One setting that is refused stops no other.
func TestSyncSettingsBesideARefusal(t *testing.T) {
	n := newNode(t)
	n.Set(l4.Config{Services: []l4.Service{service("mh", vip4, "10.0.0.1")}, Timeouts: l4.Timeouts{UDP: time.Minute}})
	n.kernel.Refuse(func(op l4.Op) error {
		if op.Sysctl == "expire_nodest_conn" {
			return errors.New("read-only")
		}
		return nil
	})
	if err := n.Sync(t.Context()); err == nil {
		t.Error("a refusal is no error")
	}
	if s := read(t, n.kernel); s.Sysctls["sloppy_tcp"] != 1 || s.Timeouts.UDP != time.Minute || len(s.Services) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestStatus(t *testing.T) {
	n := newNode(t)
	if st := n.Status(); len(st.Services) > 0 || !st.LastReconcile.IsZero() {
		t.Errorf("before the first pass: %+v", st)
	}
	n.configure(service("mh", vip4, "10.0.0.1*4", "10.0.0.2"))
	since := time.Unix(1000, 0)
	n.health.Store(health.NewSnapshot(map[health.Check]health.State{
		server("10.0.0.1").Check: {Known: true, Since: since, Reason: "status 503, want 200-299"},
	}))
	n.sync(t)
	got := n.Status()
	want := []l4.ServiceStatus{{
		Name: "web", Address: key(80).Addr, Protocol: "tcp", Scheduler: "mh", Forward: "dr", Owned: true, Programmed: true,
		Carrier: l4.Carrier{Dataplane: "ipvs"},
		Servers: []l4.ServerStatus{
			{Address: server("10.0.0.1").Addr, Configured: 4, Health: "down", Since: since, Reason: "status 503, want 200-299"},
			{Address: server("10.0.0.2").Addr, Configured: 1, Health: "unknown"},
		},
	}}
	addrs := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got.Services, addrs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// What another tool sets shows at once, before it is put right.
	op := l4.Op{Kind: l4.SetDest, Service: l4.VirtualService{Key: key(80)}, Dest: l4.Destination{Addr: server("10.0.0.2").Addr, Weight: 9, Forward: l4.DirectRoute}}
	if err := n.kernel.Apply(op); err != nil {
		t.Fatal(err)
	}
	if s := n.Status().Services[0].Servers[1]; s.Weight != 9 || s.Wanted != 0 {
		t.Errorf("weight %d, wanted %d", s.Weight, s.Wanted)
	}
	n.owner.Store(false)
	n.sync(t)
	if s := n.Status().Services[0]; s.Owned || s.Programmed {
		t.Errorf("not owned: %+v", s)
	}
}
