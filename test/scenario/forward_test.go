package scenario

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/lab"
)

// Where things are in the tests of ways to forward: a director with two
// servers, a client on their segment, and one behind the director, whose
// answers come back through it as those of NAT must.
const (
	forwardVIP, forwardVIP6   = "172.20.0.50", "fd00:20::50"
	nearClient, nearClient6   = "172.20.0.200", "fd00:20::200"
	insideEdge, insideEdge6   = "172.20.0.1", "fd00:20::1"
	outsideEdge, outsideEdge6 = "172.21.0.1", "fd00:21::1"
	farClient, farClient6     = "172.21.0.200", "fd00:21::200"
)

// The servers of a service: of either family, of both, of IPv4 where they take
// GRE with checksums, and on another port.
const (
	servers4 = "server = [{ address = '172.20.0.11' }, { address = '172.20.0.12' }]"
	servers6 = "server = [{ address = 'fd00:20::11' }, { address = 'fd00:20::12' }]"
	servers  = "server = [{ address = '172.20.0.11' }, { address = '172.20.0.12' }, { address = 'fd00:20::11' }, { address = 'fd00:20::12' }]"
	summed4  = "server = [{ address = '172.20.0.21' }, { address = '172.20.0.22' }]"
	moved4   = "server = [{ address = '172.20.0.11', port = 8088 }, { address = '172.20.0.12', port = 8088 }]"
	moved6   = "server = [{ address = 'fd00:20::11', port = 8088 }, { address = 'fd00:20::12', port = 8088 }]"
)

// forwards are the ways, each a service on a port of its own.
var forwards = []struct {
	name, vip string
	port      int
	servers   string
	keys      string
	// wire is how tcpdump shows what the first server receives, in parts;
	// without any it is what the client sent.
	wire []string
	// far asks from behind the director.
	far bool
}{
	{name: "dr", vip: forwardVIP, port: 80, servers: servers4},
	{name: "dr, IPv6", vip: forwardVIP6, port: 80, servers: servers6},
	{
		name: "ipip", vip: forwardVIP, port: 81, servers: servers4, keys: "forward = 'tunnel'",
		wire: []string{"172.20.0.1 > 172.20.0.11: ", " > 172.20.0.50.81: "},
	},
	{
		name: "ip6ip6", vip: forwardVIP6, port: 81, servers: servers6, keys: "forward = 'tunnel'",
		wire: []string{"fd00:20::1 > fd00:20::11: ", " > fd00:20::50.81: "},
	},
	{
		name: "IPv4 over IPv6", vip: forwardVIP, port: 82, servers: servers6, keys: "forward = 'tunnel'",
		wire: []string{"fd00:20::1 > fd00:20::11: ", " > 172.20.0.50.82: "},
	},
	{
		name: "IPv6 over IPv4", vip: forwardVIP6, port: 82, servers: servers4, keys: "forward = 'tunnel'",
		wire: []string{"172.20.0.1 > 172.20.0.11: ", " > fd00:20::50.82: "},
	},
	{
		name: "gre", vip: forwardVIP, port: 83, servers: servers4, keys: "forward = 'tunnel'\ntunnel = 'gre'",
		wire: []string{"172.20.0.1 > 172.20.0.11: GREv0", "172.20.0.50.83:"},
	},
	{
		name: "gre, checksum", vip: forwardVIP, port: 84, servers: summed4, keys: "forward = 'tunnel'\ntunnel = 'gre'\ntunnel_checksum = 'full'",
		wire: []string{"172.20.0.1 > 172.20.0.21: GREv0", "172.20.0.50.84:"},
	},
	{
		name: "gue", vip: forwardVIP, port: 85, servers: servers4, keys: "forward = 'tunnel'\ntunnel = 'gue'",
		wire: []string{"> 172.20.0.11.6080: "},
	},
	{
		name: "gue, checksum", vip: forwardVIP, port: 86, servers: servers4, keys: "forward = 'tunnel'\ntunnel = 'gue'\ntunnel_port = 6081\ntunnel_checksum = 'full'",
		wire: []string{"> 172.20.0.11.6081: "},
	},
	{
		name: "gue, remote checksum", vip: forwardVIP, port: 87, servers: servers4, keys: "forward = 'tunnel'\ntunnel = 'gue'\ntunnel_port = 6082\ntunnel_checksum = 'remote'",
		wire: []string{"> 172.20.0.11.6082: "},
	},
	{
		name: "nat to another port", vip: forwardVIP, port: 88, servers: moved4, keys: "forward = 'nat'", far: true,
		wire: []string{"172.21.0.200.", " > 172.20.0.11.8088: "},
	},
	{
		name: "nat to another port, IPv6", vip: forwardVIP6, port: 88, servers: moved6, keys: "forward = 'nat'", far: true,
		wire: []string{"fd00:21::200.", " > fd00:20::11.8088: "},
	},
}

// TestEveryForwardIsAnswered sends connections through every way to forward,
// protocol and family, with the real director, and looks at what the servers
// receive. That the kernel was told so is not enough: what it does with it is
// what a client meets.
func TestEveryForwardIsAnswered(t *testing.T) {
	lab.NeedIPVS(t)
	const each = 20
	f := newForward(t)
	capture := f.servers[0].Capture("eth0", "tcp or sctp or proto 4 or proto 41 or proto gre or udp portrange 6080-6082")
	for _, w := range forwards {
		client := f.near
		if w.far {
			client = f.far
		}
		tally := client.Burst(each, 2, lab.Request{URL: "http://" + net.JoinHostPort(w.vip, fmt.Sprint(w.port)) + "/"})
		figure(t, "%s: %v", w.name, tally)
		if tally.By["server-1"] != each/2 || tally.By["server-2"] != each/2 {
			t.Errorf("%s: %v", w.name, tally)
		}
	}
	lines := capture.Stop()
	for _, w := range forwards {
		if !seen(lines, w.wire) {
			t.Errorf("%s: server-1 has received nothing with %q", w.name, w.wire)
		}
	}
	if t.Failed() {
		t.Logf("server-1 received\n%s", strings.Join(lines, "\n"))
		t.Logf("%s", f.director.Output("ipvsadm", "-Ln", "--stats"))
	}
}

// seen reports whether a line has all parts.
func seen(lines, parts []string) bool {
	for _, line := range lines {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

// TestSCTPAndMarks sends associations, and connections to ports that a rule of
// the operator's selects.
func TestSCTPAndMarks(t *testing.T) {
	lab.NeedIPVS(t)
	f := newForward(t)
	for _, a := range []string{forwardVIP, forwardVIP6} {
		by := map[string]int{}
		for range 20 {
			name, err := associate(f.near, a, 3868)
			if err != nil {
				name = err.Error()
			}
			by[name]++
		}
		figure(t, "sctp to %s: 20 associations, answered by %v", a, by)
		if by["server-1"] != 10 || by["server-2"] != 10 {
			t.Errorf("sctp to %s: %v", a, by)
		}
		// Two ports of one service: the scheduler takes turns over both.
		total := 0
		for port := 8100; port < 8102; port++ {
			tally := f.near.Burst(10, 1, lab.Request{URL: "http://" + net.JoinHostPort(a, fmt.Sprint(port)) + "/"})
			figure(t, "mark 7, %s port %d: %v", a, port, tally)
			total += tally.By["server-1"]
			if tally.Answered != 10 {
				t.Errorf("mark 7, %s port %d: %v", a, port, tally)
			}
		}
		if total != 10 {
			t.Errorf("mark 7 to %s: server-1 answered %d of 20", a, total)
		}
	}
}

// A forward is a network to send through, with its director at work.
type forward struct {
	director, near, far *lab.Node
	servers             []*lab.Node
}

func newForward(t *testing.T) *forward {
	// Before the namespaces, which get the tunnels' first devices when they
	// are made.
	if out, err := exec.Command("modprobe", "-a", "ipip", "sit", "ip_gre", "fou", "ip6_tunnel", "sctp").CombinedOutput(); err != nil {
		t.Fatalf("modprobe: %v: %s", err, out)
	}
	l := lab.New(t)
	inside, outside := l.Network("inside"), l.Network("outside")
	f := &forward{director: l.Node("director"), near: l.Node("near"), far: l.Node("far")}
	f.director.Attach(inside, "eth0", insideEdge+"/24", insideEdge6+"/64")
	f.director.Attach(outside, "eth1", outsideEdge+"/24", outsideEdge6+"/64")
	f.director.NoReversePathFilter()
	f.director.Sysctl("net.ipv4.ip_forward", "1")
	f.director.Sysctl("net.ipv6.conf.all.forwarding", "1")
	for _, tables := range []string{"iptables", "ip6tables"} {
		f.director.Output(tables, "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "8100:8101", "-j", "MARK", "--set-mark", "7")
	}
	f.near.Attach(inside, "eth0", nearClient+"/24", nearClient6+"/64")
	f.far.Attach(outside, "eth0", farClient+"/24", farClient6+"/64")
	f.far.Route("default", outsideEdge)
	f.far.Route("::/0", outsideEdge6)
	for i := range 2 {
		f.servers = append(f.servers, forwardServer(t, l.Node(fmt.Sprintf("server-%d", i+1)), inside, 11+i))
	}
	f.start(t)
	return f
}

// forwardServer makes a node that takes what any way of forwarding brings and
// answers itself, but for NAT.
func forwardServer(t *testing.T, n *lab.Node, lan *lab.Network, host int) *lab.Node {
	n.Attach(lan, "eth0", fmt.Sprintf("172.20.0.%d/24", host), fmt.Sprintf("fd00:20::%d/64", host))
	n.Route("default", insideEdge)
	n.Route("::/0", insideEdge6)
	for _, dev := range []string{"tunl0", "sit0", "gre0", "ip6tnl0"} {
		n.LinkUp(dev)
	}
	// The first device of its kind takes IPv6 alone, or no checksum.
	n.Output("ip", "-6", "tunnel", "change", "ip6tnl0", "mode", "any")
	summed := fmt.Sprintf("172.20.0.%d", host+10)
	n.AddAddr("eth0", summed+"/24")
	n.Output("ip", "link", "add", "summed", "type", "gre", "local", summed, "remote", "any", "icsum")
	n.LinkUp("summed")
	for port := range 3 {
		n.Output("ip", "fou", "add", "port", fmt.Sprint(6080+port), "gue")
	}
	n.NoReversePathFilter()
	n.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
	n.Sysctl("net.ipv4.conf.all.arp_announce", "2")
	n.AddAddr("lo", forwardVIP+"/32")
	n.AddAddr("lo", forwardVIP6+"/128")
	name := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, n.Name()) })
	for _, port := range []int{80, 81, 82, 83, 84, 85, 86, 87, 8088, 8100, 8101} {
		n.Serve(fmt.Sprintf(":%d", port), name)
	}
	for _, a := range []string{forwardVIP, forwardVIP6} {
		serveSCTP(t, n, a, 3868)
	}
	return n
}

// start runs the real director and waits until it balances everything.
func (f *forward) start(t *testing.T) {
	t.Helper()
	config := filepath.Join(f.director.Dir(), "portico.toml")
	if err := os.WriteFile(config, []byte(f.config()), 0o600); err != nil {
		t.Fatal(err)
	}
	f.director.Start(os.Getenv("PORTICO_BIN"), "run", "--config", config, "--only", "vip,l4,health")
	want := 2 * (len(forwards) + 4)
	lab.Eventually(t, patience, "all services with all servers", func() error {
		table := f.director.Output("ipvsadm", "-Sn")
		if got := strings.Count(table, " -w 1"); got != want {
			return fmt.Errorf("%d of %d:\n%s", got, want, table)
		}
		return nil
	})
	t.Logf("ipvsadm -Sn:\n%s", f.director.Output("ipvsadm", "-Sn"))
}

func (f *forward) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `[node]
name      = "director"
interface = "eth0"
run_dir   = "%[1]s/run"

[admin]
socket    = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"

[[vip]]
name      = "edge"
addresses = [%[2]q, %[3]q]
vrrp      = { router_id = 51 }

`, f.director.Dir(), forwardVIP, forwardVIP6)
	service := func(name, keys, servers string) {
		fmt.Fprintf(&b, "[[l4.service]]\nname = %q\nscheduler = 'rr'\ncheck = { kind = 'tcp', port = 80, interval = '500ms' }\n%s\n%s\n\n", name, keys, servers)
	}
	word := strings.NewReplacer(", ", "-", " ", "-") // names have no blanks
	for _, w := range forwards {
		service(word.Replace(w.name), fmt.Sprintf("address = %q\nport = %d\n%s", w.vip, w.port, w.keys), w.servers)
	}
	service("sctp", "vip = 'edge'\nport = 3868\nprotocol = 'sctp'", servers)
	service("marked", "vip = 'edge'\nfwmark = 7", servers)
	return b.String()
}
