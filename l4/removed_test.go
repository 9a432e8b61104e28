package l4_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
)

// onPort is a service of two servers on a port of its own.
func onPort(port uint16) l4.Service {
	s := draining("10.0.0.1", "10.0.0.2")
	s.Port = port
	for i := range s.Servers {
		s.Servers[i].Addr = netip.AddrPortFrom(s.Servers[i].Addr.Addr(), port)
	}
	return s
}

const (
	whole   = "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1\n-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1\n"
	emptied = "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 0\n-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0\n"
	second  = "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0\n"
)

// busy is a node with a service and a connection on its second server.
func busy(t *testing.T, s l4.Service) *node {
	t.Helper()
	n := newNode(t)
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.configure(s)
	n.sync(t)
	n.kernel.Count(s.Keys()[0], s.Servers[1].Addr, 1, 0)
	return n
}

// A service that leaves the configuration takes no new connections, keeps
// those that it has, and goes when it has none or when its time is up, also
// when the daemon starts again meanwhile.
func TestRemovedServiceDrains(t *testing.T) {
	run := func(name string, test func(t *testing.T, n *node)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := busy(t, onPort(80))
				n.holds(t, "configured", whole)
				n.configure()
				n.sync(t)
				n.holds(t, "removed", emptied)
				time.Sleep(30 * time.Second)
				n.sync(t)
				n.holds(t, "with a connection on one of them", second)
				test(t, n)
			})
		})
	}
	pass := func(t *testing.T, n *node, d time.Duration) {
		time.Sleep(d)
		n.sync(t)
	}
	run("until none", func(t *testing.T, n *node) {
		n.kernel.Count(key(80), server("10.0.0.2").Addr, 0, 0)
		n.sync(t)
		n.holds(t, "without", "")
		if st := n.Status().Services; len(st) > 0 {
			t.Errorf("gone, and yet in the status: %+v", st)
		}
		if text, err := os.ReadFile(n.file); err != nil || strings.Contains(string(text), "tcp") {
			t.Errorf("the record is %q (%v)", text, err)
		}
	})
	run("until its time is up", func(t *testing.T, n *node) {
		pass(t, n, 29*time.Second)
		n.holds(t, "before", second)
		pass(t, n, time.Second)
		n.holds(t, "after", "")
	})
	run("over a restart", func(t *testing.T, n *node) {
		n.restart()
		pass(t, n, 29*time.Second)
		n.holds(t, "started again", second)
		pass(t, n, time.Second)
		n.holds(t, "its time goes on", "")
	})
	run("not where another node balances by now", func(t *testing.T, n *node) {
		n.owner.Store(false)
		n.sync(t)
		n.holds(t, "the address went", "")
	})
	run("back before it is gone", func(t *testing.T, n *node) {
		n.configure(onPort(80))
		n.sync(t)
		n.holds(t, "back", whole)
	})
	run("flushed", func(t *testing.T, n *node) {
		if err := l4.Flush(n.kernel, n.file); err != nil {
			t.Error(err)
		}
		n.holds(t, "flushed", "")
	})
	run("another tool's server in it goes", func(t *testing.T, n *node) {
		n.meddle(t, l4.Op{Kind: l4.AddDest, Service: l4.VirtualService{Key: key(80)}, Dest: l4.Destination{Addr: server("10.0.0.9").Addr, Forward: l4.DirectRoute, Weight: 1}})
		n.sync(t)
		n.holds(t, "put right", second)
	})
	run("shown", func(t *testing.T, n *node) {
		st := n.Status().Services
		if len(st) != 1 || len(st[0].Servers) != 1 || !st[0].Owned || !st[0].Programmed || st[0].Address != key(80).Addr || st[0].Scheduler != "wlc" {
			t.Fatalf("status %+v", st)
		}
		if s := st[0].Servers[0]; s.Health != "draining" || s.Active != 1 || s.Weight != 0 || !s.Until.Equal(time.Now().Add(30*time.Second)) {
			t.Errorf("status %+v", s)
		}
	})
}

// What becomes of a connection when the configuration changes about it.
func TestReloadOfServices(t *testing.T) {
	moved := strings.ReplaceAll(whole, ":80", ":81")
	renamed, scheduler, port, quick := onPort(80), onPort(80), onPort(81), onPort(80)
	renamed.Name, scheduler.Scheduler, quick.Drain = "other", "sh", 0
	for _, tt := range []struct {
		name   string
		before l4.Service
		after  []l4.Service
		want   string
	}{
		{"its key moves to another entry", onPort(80), []l4.Service{renamed}, whole},
		{"another scheduler", onPort(80), []l4.Service{scheduler}, strings.ReplaceAll(whole, "wlc", "sh")},
		{"another port", onPort(80), []l4.Service{port}, emptied + moved},
		{"drain = 0s, removed", quick, nil, ""},
		{"drain = 0s, another port", quick, []l4.Service{port}, moved},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", tt.name, restart), func(t *testing.T) {
				n := busy(t, tt.before)
				if restart {
					n.restart()
				}
				n.learn("10.0.0.1=up 10.0.0.2=up")
				n.configure(tt.after...)
				n.sync(t)
				if got := n.kernel.String(); sortedLines(got) != sortedLines(tt.want) {
					t.Errorf("got\n%swant\n%s", got, tt.want)
				}
			})
		}
	}
}

// Whose a mark is stands in no key: it follows the addresses of its service,
// also when the configuration has them no more.
func TestRemovedMarkDrains(t *testing.T) {
	s := onPort(0)
	s.Mark = 7
	n := busy(t, s)
	n.configure()
	n.sync(t)
	n.restart()
	n.sync(t)
	n.holds(t, "removed", "-A -f 7 -s wlc\n-a -f 7 -r 10.0.0.1:0 -g -w 0\n-a -f 7 -r 10.0.0.2:0 -g -w 0\n")
	n.owner.Store(false)
	n.sync(t)
	n.holds(t, "its address went", "")
}

// A state file of a daemon that wrote keys alone has no word about a drain:
// then it is the usual one.
func TestRemovedServiceOfOldRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := onPort(80)
		quick.Drain = time.Second
		n := busy(t, quick)
		if err := os.WriteFile(n.file, []byte("tcp 192.0.2.10:80\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		n.restart()
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{{0, emptied}, {59 * time.Second, second}, {time.Second, ""}} {
			time.Sleep(tt.after)
			n.sync(t)
			n.holds(t, tt.after.String()+" later", tt.want)
		}
	})
}

// Servers that drain stay where they stand, and none is touched but for its
// weight, whatever the scheduler makes of their order.
func TestRemovedServiceIsOneMessageAServer(t *testing.T) {
	s := onPort(80)
	s.Scheduler, s.Servers[0].Weight = "mh", 5
	n := busy(t, s)
	n.kernel.Ops()
	n.configure()
	n.sync(t)
	if diff := cmp.Diff([]string{
		"set tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 0",
		"set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0",
	}, n.kernel.Ops()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.sync(t)
	if ops := n.kernel.Ops(); ops != nil {
		t.Errorf("nothing changed, and yet: %q", ops)
	}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
