package ipvs_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

// Sync daemons are what ipvsadm says they are, and what is left out of them is
// as the kernel has it.
func TestSyncDaemons(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	node := l.Node("edge")
	node.Attach(l.Network("lan"), "eth0", "10.0.0.254/24")
	k := newKernel(t, node)
	daemons := func() map[l4.Role]l4.Daemon {
		t.Helper()
		s, err := k.Read()
		if err != nil {
			t.Fatal(err)
		}
		return s.Daemons
	}
	if all := daemons(); len(all) != 0 {
		t.Errorf("before: %v", all)
	}
	master := l4.Daemon{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	backup := l4.Daemon{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("ff02::51"), Port: 8849, TTL: 3, MaxLen: 1400}
	want := map[l4.Role]l4.Daemon{l4.Master: master, l4.Backup: backup}
	for r, d := range want {
		if err := k.Apply(l4.Op{Kind: l4.StartDaemon, Role: r, Daemon: d}); err != nil {
			t.Fatal(err)
		}
	}
	have := daemons()
	if have[l4.Master].MaxLen != 1472 {
		t.Errorf("largest message: %d", have[l4.Master].MaxLen)
	}
	if ops := l4.Diff(l4.State{Daemons: have}, l4.State{Daemons: want}, nil); len(ops) > 0 {
		t.Errorf("still to do: %v", ops)
	}
	out := node.Output("ipvsadm", "-L", "--daemon")
	for _, line := range []string{
		"master sync daemon (mcast=eth0, syncid=51, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
		"backup sync daemon (mcast=eth0, syncid=51, maxlen=1400, group=ff02::51, port=8849, ttl=3)",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	for range 2 { // that it runs no more is no error
		for _, r := range []l4.Role{l4.Master, l4.Backup} {
			if err := k.Apply(l4.Op{Kind: l4.StopDaemon, Role: r}); err != nil {
				t.Error(err)
			}
		}
	}
	if all := daemons(); len(all) != 0 {
		t.Errorf("after: %v", all)
	}
}

// What the kernel refuses is told with its cure.
func TestSyncDaemonRefusals(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	node := l.Node("edge")
	node.Attach(l.Network("lan"), "eth0", "10.0.0.254/24")
	k := newKernel(t, node)
	daemon := l4.Daemon{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	start := func(d l4.Daemon) error { return k.Apply(l4.Op{Kind: l4.StartDaemon, Role: l4.Master, Daemon: d}) }
	nowhere := daemon
	nowhere.Interface = "none0"
	if err := start(nowhere); err == nil || !strings.Contains(err.Error(), "there is no interface none0") {
		t.Errorf("an interface that is none: %v", err)
	}
	node.LinkDown("eth0")
	if err := start(daemon); err == nil || !strings.Contains(err.Error(), "eth0 is down") {
		t.Errorf("an interface that is down: %v", err)
	}
	node.LinkUp("eth0")
	if err := start(daemon); err != nil {
		t.Fatal(err)
	}
	if err := start(daemon); err == nil || !strings.Contains(err.Error(), "a master runs already") {
		t.Errorf("a second one: %v", err)
	}
	if err := k.Apply(l4.Op{Kind: l4.StopDaemon, Role: l4.Master}); err != nil {
		t.Fatal(err)
	}
	node.Output("ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr")
	node.Output("ipvsadm", "-a", "-t", "192.0.2.1:80", "-r", "[2001:db8::1]:80", "-i")
	if err := start(daemon); err == nil || !strings.Contains(err.Error(), "not possible beside servers whose family is not their service's") {
		t.Errorf("beside mixed families: %v", err)
	}
}
