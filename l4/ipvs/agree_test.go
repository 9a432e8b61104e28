package ipvs_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

const clients = 200

// A director is a node that balances 192.0.2.10:80, and a client beside it.
type director struct {
	kernel
	*l4.Reconciler
	node, client *lab.Node
	file         string
	health       *health.Snapshot
	drain        time.Duration
	config       l4.Config // what it was brought to last
}

// newDirector has a network of its own, so that two directors can own the
// same address and have a client with the same address.
func newDirector(t *testing.T, l *lab.Lab, name string) *director {
	lan := l.Network(name + "-lan")
	d := &director{node: l.Node(name), client: l.Node(name + "-client"), file: filepath.Join(t.TempDir(), "l4")}
	d.node.Attach(lan, "eth0", "10.0.0.254/24", "192.0.2.10/32")
	d.client.Attach(lan, "eth0", "10.0.0.200/24")
	d.client.Route("192.0.2.10/32", "10.0.0.254")
	d.node.NoReversePathFilter()
	d.kernel = newKernel(t, d.node)
	d.restart()
	return d
}

func (d *director) restart() {
	d.health = nil
	d.Reconciler = l4.New(l4.Options{
		Log:       slog.New(slog.DiscardHandler),
		Dataplane: d.kernel,
		Health:    func() *health.Snapshot { return d.health },
		Owned:     func(netip.Addr) bool { return true },
		StateFile: d.file,
	})
}

// see brings the director to servers, given by the last byte of their
// addresses, of which some are down.
func (d *director) see(t *testing.T, servers, down []int) {
	t.Helper()
	s := l4.Service{
		Name: "web", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Port: 80,
		Protocol: l4.UDP, Scheduler: "mh", Flags: l4.FlagFallback | l4.FlagPort, Forward: l4.DirectRoute,
		Drain: d.drain,
	}
	states := map[health.Check]health.State{}
	for _, n := range servers {
		addr := netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", n))
		check := health.Check{Target: addr}
		s.Servers = append(s.Servers, l4.Server{Addr: addr, Weight: 1 + n%3, Check: check})
		states[check] = health.State{Known: true, Up: true}
		for _, x := range down {
			if x == n {
				states[check] = health.State{Known: true}
			}
		}
	}
	d.health = health.NewSnapshot(states)
	d.config = l4.Config{Services: []l4.Service{s}}
	d.Set(d.config)
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// choices sends one datagram from each of count ports, the first being from,
// and returns the server that IPVS chose for each.
func (d *director) choices(t *testing.T, from, count int) map[int]string {
	t.Helper()
	d.client.Do(func() {
		to := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 10), Port: 80}
		for port := from; port < from+count; port++ {
			conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 200), Port: port}, to)
			if err != nil {
				t.Fatal(err)
			}
			// A refusal of an earlier datagram may surface here.
			_, _ = conn.Write([]byte("x"))
			conn.Close()
		}
	})
	chosen := map[int]string{}
	lab.Eventually(t, 10*time.Second, "a connection for each port", func() error {
		for line := range strings.Lines(d.node.Output("ipvsadm", "-Lnc")) {
			// UDP 04:59 UDP 10.0.0.200:20000 192.0.2.10:80 10.0.0.3:80
			f := strings.Fields(line)
			if len(f) < 6 || !strings.HasPrefix(f[3], "10.0.0.200:") {
				continue
			}
			port, err := strconv.Atoi(f[3][len("10.0.0.200:"):])
			if err == nil && port >= from && port < from+count {
				chosen[port] = f[5]
			}
		}
		if len(chosen) < count {
			return fmt.Errorf("%d of %d", len(chosen), count)
		}
		return nil
	})
	return chosen
}

// compare counts the ports for which two directors choose differently, and
// how the first spreads them.
func compare(a, b map[int]string) (differ int, spread map[string]int) {
	spread = map[string]int{}
	for port, server := range a {
		spread[server]++
		if b[port] != server {
			differ++
		}
	}
	return differ, spread
}

// Two nodes that see the same servers make the same choices, whatever each
// went through before: that is what lets connections survive a take-over.
func TestDirectorsAgree(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	a, b := newDirector(t, l, "a"), newDirector(t, l, "b")

	// a: five servers from the start, one of them down.
	a.see(t, []int{1, 2, 3, 4, 5}, []int{3})
	// b: other servers joined, left, failed and came back in another order,
	// weights and all, and it was restarted while one was down.
	b.see(t, []int{5}, nil)
	b.see(t, []int{5, 2}, []int{2})
	b.see(t, []int{5, 2, 9}, []int{5})
	b.see(t, []int{9, 3, 2, 5}, []int{3})
	b.restart()
	b.see(t, []int{3, 5, 2, 1}, []int{3, 1})
	b.see(t, []int{3, 5, 4, 2, 1}, []int{1, 2})
	b.see(t, []int{5, 4, 3, 2, 1}, []int{3})

	t.Log(a.node.Output("ipvsadm", "-Ln"))
	for i, down := range [][]int{{3}, {}, {1, 5}} {
		a.see(t, []int{1, 2, 3, 4, 5}, down)
		b.see(t, []int{1, 2, 3, 4, 5}, down)
		from := 20000 + i*clients // connections are remembered: other ports each time
		differ, spread := compare(a.choices(t, from, clients), b.choices(t, from, clients))
		t.Logf("down %v: %d of %d choices differ, spread %v", down, differ, clients, spread)
		if differ > 0 {
			t.Errorf("down %v: %d of %d choices differ", down, differ, clients)
		}
		for _, n := range down {
			if c := spread[fmt.Sprintf("10.0.0.%d:80", n)]; c > 0 {
				t.Errorf("%d connections to server %d, which is down", c, n)
			}
		}
		if len(spread) != 5-len(down) {
			t.Errorf("down %v: spread over %d servers", down, len(spread))
		}
	}
}

// The same events without the order and the bases that Plan and Diff keep:
// what the test above would find if they did not.
func TestDirectorsDisagreeWithoutCare(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	a, b := newDirector(t, l, "a"), newDirector(t, l, "b")
	for _, d := range []*director{a, b} {
		d.node.Output("ipvsadm", "-A", "-u", "192.0.2.10:80", "-s", "mh", "-b", "mh-fallback,mh-port")
	}
	add := func(d *director, n, weight int) {
		d.node.Output("ipvsadm", "-a", "-u", "192.0.2.10:80", "-r", fmt.Sprintf("10.0.0.%d:80", n), "-g", "-w", fmt.Sprint(weight))
	}
	for n := 1; n <= 5; n++ {
		add(a, n, 1)
		add(b, 6-n, 1)
	}
	differ, _ := compare(a.choices(t, 20000, 5*clients), b.choices(t, 20000, 5*clients))
	t.Logf("another order: %d of %d choices differ", differ, 5*clients)

	a.node.Output("ipvsadm", "-e", "-u", "192.0.2.10:80", "-r", "10.0.0.3:80", "-g", "-w", "0")
	b.node.Output("ipvsadm", "-d", "-u", "192.0.2.10:80", "-r", "10.0.0.3:80")
	add(b, 3, 0)
	differ, _ = compare(a.choices(t, 30000, clients), b.choices(t, 30000, clients))
	t.Logf("one failed here, was added at weight 0 there: %d of %d choices differ", differ, clients)
	if differ == 0 {
		t.Error("no difference: the care that TestDirectorsAgree proves would be needless")
	}
}

// A daemon that starts again finds its services and disturbs none of their
// connections, before and after its checks have answered.
func TestRestartKeepsConnections(t *testing.T) {
	lab.NeedIPVS(t)
	d := newDirector(t, lab.New(t), "a")
	d.see(t, []int{1, 2, 3}, nil)
	before := d.choices(t, 20000, clients)
	d.restart()
	d.see(t, []int{1, 2, 3}, nil)
	d.see(t, []int{1, 2, 3, 4}, []int{2})
	after := d.choices(t, 20000, clients)
	if differ, _ := compare(before, after); differ > 0 {
		t.Errorf("%d of %d connections changed their server", differ, clients)
	}
	st := d.Status().Services[0]
	total := 0
	for _, s := range st.Servers {
		total += s.Active + s.Inactive
	}
	if total != clients {
		t.Errorf("status counts %d connections, want %d: %+v", total, clients, st.Servers)
	}
}

// A service that is removed goes on with the connections it has.
func TestRemovedServiceKeepsConnections(t *testing.T) {
	lab.NeedIPVS(t)
	d := newDirector(t, lab.New(t), "a")
	d.drain = time.Minute
	d.see(t, []int{1, 2, 3}, nil)
	before := d.choices(t, 20000, clients)
	d.Set(l4.Config{})
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := d.choices(t, 20000, clients)
	if differ, _ := compare(before, after); differ > 0 {
		t.Errorf("%d of %d connections changed their server", differ, clients)
	}
	lab.Eventually(t, 5*time.Second, "every packet to be counted", func() error {
		st, packets := d.Status().Services, uint64(0)
		for _, v := range st {
			packets += v.Stats.PacketsIn
		}
		if packets != 2*clients {
			return fmt.Errorf("%d packets, want %d: %+v", packets, 2*clients, st)
		}
		return nil
	})
}
