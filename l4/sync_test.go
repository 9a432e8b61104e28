package l4_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l4"
)

var syncOf51 = l4.Daemon{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}

// telling is the configuration of a node that tells of its connections.
func telling(services ...l4.Service) l4.Config {
	return l4.Config{Services: services, Sync: syncOf51}
}

// daemons are those that the fake kernel runs, and its backup_only.
func (n *node) daemons(t *testing.T) string {
	t.Helper()
	have, err := n.kernel.Read()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for r, d := range have.Daemons {
		list = append(list, fmt.Sprintf("%s %s %d", r, d.Interface, d.ID))
	}
	slices.Sort(list)
	return fmt.Sprintf("%s; backup_only %d", strings.Join(list, ", "), have.Sysctls["backup_only"])
}

func (n *node) wantDaemons(t *testing.T, when, want string) {
	t.Helper()
	if got := n.daemons(t); got != want {
		t.Errorf("%s: %s, want %s", when, got, want)
	}
}

// Who owns any address tells, who lacks one listens, and who has none at all
// balances nothing by what it has heard.
func TestSyncFollowsOwnership(t *testing.T) {
	cfg := telling(service("rr", vip4, "10.0.0.1"), service("rr", vip6, "2001:db8::1"))
	for _, tt := range []struct {
		owned          []netip.Addr
		master, backup bool
		only           int
	}{
		{nil, false, true, 1},
		{[]netip.Addr{vip4}, true, true, 0},
		{[]netip.Addr{vip4, vip6}, true, false, 0},
	} {
		owned := func(a netip.Addr) bool { return slices.Contains(tt.owned, a) }
		want := l4.Plan(cfg, l4.Inputs{Health: snapshot(""), Owned: owned})
		for role, runs := range map[l4.Role]bool{l4.Master: tt.master, l4.Backup: tt.backup} {
			if d, ok := want.Daemons[role]; !ok || runs != (d == syncOf51) || !runs && d != (l4.Daemon{}) {
				t.Errorf("owner of %v: %s is %v, %v", tt.owned, role, d, ok)
			}
		}
		if got := want.Sysctls["backup_only"]; got != tt.only {
			t.Errorf("owner of %v: backup_only is %d, want %d", tt.owned, got, tt.only)
		}
	}
	cfg.Sync = l4.Daemon{}
	if want := l4.Plan(cfg, l4.Inputs{Health: snapshot(""), Owned: nowhere}); want.Daemons != nil {
		t.Errorf("without sync: %v", want.Daemons)
	}
}

func TestSyncDaemons(t *testing.T) {
	n := newNode(t)
	n.owner.Store(false)
	n.Set(telling(service("rr", vip4, "10.0.0.1")))
	n.sync(t)
	n.wantDaemons(t, "at first", "backup eth0 51; backup_only 1")

	n.kernel.Ops()
	n.owner.Store(true)
	n.sync(t)
	n.wantDaemons(t, "owner", "master eth0 51; backup_only 0")
	ops := n.kernel.Ops()
	if at, service := slices.Index(ops, "set net.ipv4.vs.backup_only = 0"), slices.IndexFunc(ops, func(o string) bool { return strings.HasPrefix(o, "add ") }); at < 0 || at > service {
		t.Errorf("a service stands before it may balance: %q", ops)
	}
	n.sync(t)
	if ops := n.kernel.Ops(); ops != nil {
		t.Errorf("nothing changed, and yet: %q", ops)
	}
	if st := n.Status().Sync; st == nil || !st.Master || st.Backup || st.BackupOnly || st.ID != 51 {
		t.Errorf("status: %+v", st)
	}

	// What another tool did to it.
	n.meddle(t, l4.Op{Kind: l4.StopDaemon, Role: l4.Master})
	n.meddle(t, l4.Op{Kind: l4.StartDaemon, Role: l4.Backup, Daemon: l4.Daemon{Interface: "lo", ID: 7}})
	n.sync(t)
	n.wantDaemons(t, "another tool stopped one and started one", "master eth0 51; backup_only 0")

	other := telling(service("rr", vip4, "10.0.0.1"))
	other.Sync.ID = 52
	n.Set(other)
	n.sync(t)
	n.wantDaemons(t, "another id", "master eth0 52; backup_only 0")

	n.owner.Store(false)
	n.sync(t)
	n.wantDaemons(t, "the address went to another node", "backup eth0 52; backup_only 1")
}

// TestSyncEnds takes the daemons out of the configuration, in one process and
// across two.
func TestSyncEnds(t *testing.T) {
	for name, end := range map[string]func(*node){
		"reloaded":  func(n *node) { n.configure(service("rr", vip4, "10.0.0.1")) },
		"restarted": func(n *node) { n.restart(); n.configure(service("rr", vip4, "10.0.0.1")) },
		"emptied":   func(n *node) { n.restart(); n.configure() },
		"flushed": func(n *node) {
			if err := l4.Flush(n.kernel, n.file); err != nil {
				t.Error(err)
			}
			n.restart()
		},
	} {
		n := newNode(t)
		n.owner.Store(false)
		n.Set(telling(service("rr", vip4, "10.0.0.1")))
		n.sync(t)
		end(n)
		n.sync(t)
		n.wantDaemons(t, name, "; backup_only 0")
		if text, err := os.ReadFile(n.file); err != nil || strings.Contains(string(text), "sync ") {
			t.Errorf("%s: the record is %q (%v)", name, text, err)
		}
	}
}

// Daemons of another tool are its own where none are configured, also where
// they stand in the place of ours.
func TestSyncLeavesForeignDaemons(t *testing.T) {
	foreign := l4.Op{Kind: l4.StartDaemon, Role: l4.Backup, Daemon: l4.Daemon{Interface: "lo", ID: 7}}
	n := newNode(t)
	n.meddle(t, foreign)
	n.configure(service("rr", vip4, "10.0.0.1"))
	n.sync(t)
	n.wantDaemons(t, "none configured", "backup lo 7; backup_only 0")

	n.owner.Store(false)
	n.Set(telling(service("rr", vip4, "10.0.0.1")))
	n.sync(t)
	n.wantDaemons(t, "ours configured", "backup eth0 51; backup_only 1")
	n.meddle(t, l4.Op{Kind: l4.StopDaemon, Role: l4.Backup})
	n.meddle(t, foreign)
	n.restart()
	n.configure(service("rr", vip4, "10.0.0.1"))
	n.sync(t)
	n.wantDaemons(t, "another's stands in the place of ours", "backup lo 7; backup_only 0")
}

// A daemon that the kernel refuses keeps no service from standing.
func TestSyncRefused(t *testing.T) {
	n := newNode(t)
	cfg := telling(service("mh", vip4, "10.0.0.1", "10.0.0.2"))
	cfg.Sync.Interface = "eth9"
	n.Set(cfg)
	n.learn("10.0.0.1=up 10.0.0.2=up")
	if err := n.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "start sync daemon master on eth9 with id 51") {
		t.Errorf("an interface that is none: %v", err)
	}
	n.holds(t, "refused", twoUp)
}

// meddle is what another tool does.
func (n *node) meddle(t *testing.T, op l4.Op) {
	t.Helper()
	if err := n.kernel.Apply(op); err != nil {
		t.Fatal(err)
	}
}

func TestParseSync(t *testing.T) {
	const services = "[[service]]\nname = \"web\"\nvip = \"edge\"\nport = 80\n[[service.server]]\naddress = \"10.0.0.1\"\n"
	for text, want := range map[string]l4.Daemon{
		"interface = \"eth0\"\nid = 51": syncOf51,
		"interface = \"eth1\"\nid = 255\ngroup = \"ff02::51\"\nport = 9000\nttl = 8\nmax_len = 8900": {
			Interface: "eth1", ID: 255, Group: netip.MustParseAddr("ff02::51"), Port: 9000, TTL: 8, MaxLen: 8900,
		},
	} {
		cfg, faults := parse(t, services+"[sync]\n"+text)
		if cfg.Sync != want || len(faults) > 0 {
			t.Errorf("%s\nis %v, want %v; %q", text, cfg.Sync, want, faults)
		}
	}
	for text, want := range map[string]string{
		"id = 1":                                              "l4.sync.interface: is missing: name the one that carries the connections of the others",
		"interface = \"eth0\"":                                "l4.sync.id: 0 is out of range: allowed are 1 to 255, the same on all nodes of this edge and on no other's",
		"interface = \"e\"\nid = 256":                         "l4.sync.id: 256 is out of range: allowed are 1 to 255, the same on all nodes of this edge and on no other's",
		"interface = \"e\"\nid = 1\nport = 0":                 "l4.sync.port: 0 is out of range: allowed are 1 to 65535",
		"interface = \"e\"\nid = 1\nttl = 256":                "l4.sync.ttl: 256 is out of range: allowed are 1 to 255",
		"interface = \"e\"\nid = 1\nmax_len = 1000":           "l4.sync.max_len: 1000 is out of range: allowed are 1024 to 65487",
		"interface = \"e\"\nid = 1\ngroup = \"192.0.2.1\"":    "l4.sync.group: \"192.0.2.1\" is not a multicast address",
		"interface = \"e\"\nid = 1\ngroup = \"ff02::1%eth0\"": "l4.sync.group: \"ff02::1%eth0\" is not a multicast address",
	} {
		if _, faults := parse(t, services+"[sync]\n"+text); fmt.Sprint(faults) != "["+want+"]" {
			t.Errorf("%s\nhas faults %q, want %q", text, faults, want)
		}
	}
	six := strings.Replace(services, "10.0.0.1", "2001:db8::1", 1)
	six = strings.Replace(six, "port = 80\n", "port = 80\nforward = \"tunnel\"\n", 1)
	want := `l4.sync: stands beside the service "web", which tunnels to servers of another family: the kernel cannot tell of such connections`
	if _, faults := parse(t, six+"[sync]\ninterface = \"eth0\"\nid = 1"); fmt.Sprint(faults) != "["+want+"]" {
		t.Errorf("mixed families: faults %q, want %q", faults, want)
	}
}
