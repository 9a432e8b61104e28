// Package kubeproxy runs the real director beside a real kube-proxy in IPVS
// mode, which takes every virtual service of the node for its own, in a kernel
// with IPVS:
//
//	go test -exec "$PWD/bin/vm" ./test/scenario/kubeproxy
package kubeproxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/lab"
)

const (
	vip       = "172.20.0.50"
	clusterIP = "10.96.0.10"
	// patience is for an emulated machine and no claim.
	patience = 3 * time.Minute
	// within is the claim: how long our services are gone at most when
	// another tool has deleted them.
	within = 10 * time.Second
	// syncs is how often kube-proxy looks at all of IPVS at most. In an emulated
	// machine that takes it half a minute, which is some time.
	syncs, some = 5 * time.Second, 20 * time.Second
)

// TestBesideKubeProxy has both keep their own services in one kernel: with our
// addresses excluded through starts and restarts of either, and without
// through what kube-proxy then deletes.
func TestBesideKubeProxy(t *testing.T) {
	n := newNode(t)
	n.director = n.run(t)
	n.waitOurs(t, patience)
	ours := n.ours()

	t.Run("excluded", func(t *testing.T) {
		held := n.hold(t)
		probe := n.client.Probe(50*time.Millisecond, n.request())
		n.startProxy(t, "--ipvs-exclude-cidrs="+vip+"/32")
		n.waitTheirs(t)
		pass(t, probe, some)
		n.stopProxy()
		n.startProxy(t, "--ipvs-exclude-cidrs="+vip+"/32")
		n.waitTheirs(t)
		pass(t, probe, some)
		if err := n.director.Stop(); err != nil {
			t.Error(err)
		}
		theirs := n.theirs()
		n.director = n.run(t)
		n.waitOurs(t, patience)
		pass(t, probe, some)
		tl := probe.Stop()
		t.Logf("figure: kube-proxy started and started again, then the director: %v", tl)
		if lost := broken(held); lost > 0 {
			t.Errorf("%d of %d held connections broke", lost, len(held))
		}
		if len(tl.Failed()) > 0 || n.ours() != ours || n.theirs() != theirs {
			t.Errorf("services:\n%s", n.Output("ipvsadm", "-Sn"))
		}
		if changed := n.putRight(); changed > 0 {
			t.Errorf("the director had to put something right %d times", changed)
		}
	})
	t.Run("cleanup", func(t *testing.T) {
		n.stopProxy()
		held := n.hold(t)
		probe := n.client.Probe(50*time.Millisecond, n.request())
		pass(t, probe, time.Second)
		cleanup := n.kubeProxy(t, "--cleanup")
		lab.Eventually(t, patience, "everything deleted", func() error {
			if n.whole() == nil {
				return fmt.Errorf("our services stand:\n%s", cleanup.Log())
			}
			return nil
		})
		since := time.Now()
		n.waitOurs(t, within)
		t.Logf("figure: kube-proxy --cleanup has deleted everything: back %v later", ms(time.Since(since)))
		_ = cleanup.Wait() // it complains of rules in use, and is done with IPVS
		pass(t, probe, time.Second)
		t.Logf("figure: kube-proxy --cleanup: %d of %d idle connections broke; %v", broken(held), len(held), probe.Stop())
		if n.ours() != ours {
			t.Errorf("services:\n%s", n.Output("ipvsadm", "-Sn"))
		}
	})
	t.Run("not excluded", func(t *testing.T) {
		before, held := n.putRight(), n.hold(t)
		probe := n.client.Probe(50*time.Millisecond, n.request())
		n.startProxy(t)
		longest := n.watch(t, func() bool { return n.putRight() > before })
		n.waitTheirs(t)
		n.waitOurs(t, within)
		t.Logf("figure: kube-proxy without --ipvs-exclude-cidrs: gone for %v, %d of %d idle connections broke; %v",
			ms(longest), broken(held), len(held), probe.Stop())
		if longest > within {
			t.Errorf("gone for %v", longest)
		}
	})
}

// A node is the machine that both live on, with two servers and a client.
type node struct {
	*lab.Node
	client   *lab.Node
	binary   string // of kube-proxy
	config   string
	api      string // kubeconfig
	director *lab.Proc
	proxy    *lab.Proc
	logs     []*lab.Proc // directors that ran
}

func newNode(t *testing.T) *node {
	lab.NeedIPVS(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	binary, err := cluster.Binary(ctx, os.Stderr)
	if err != nil {
		t.Fatalf("%v\n(in an emulated machine it takes hours: PORTICO_CLUSTER=1 go test -run TestBinary ./test/cluster, outside)", err)
	}
	l := lab.New(t)
	lan := l.Network("lan")
	n := &node{Node: l.Node("director"), client: l.Node("client"), binary: binary}
	n.Attach(lan, "eth0", "172.20.0.1/24", vip+"/32")
	n.NoReversePathFilter()
	n.client.Attach(lan, "eth0", "172.20.0.200/24")
	for _, host := range []int{11, 12} {
		s := l.Node(fmt.Sprintf("server-%d", host))
		s.Attach(lan, "eth0", fmt.Sprintf("172.20.0.%d/24", host))
		s.NoReversePathFilter()
		s.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		s.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		s.AddAddr("lo", vip+"/32")
		s.Serve(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, s.Name()) }))
		s.Echo(":7")
	}
	n.api = serveAPI(t, n.Node)
	n.config = filepath.Join(n.Dir(), "portico.toml")
	text := fmt.Sprintf(`[node]
name      = "director"
interface = "eth0"
run_dir   = "%[1]s/run"

[admin]
socket    = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"

[[vip]]
name      = "edge"
addresses = [%[2]q]
vrrp      = { router_id = 51 }
`, n.Dir(), vip)
	// One by mark as well: it has no address that could be excluded.
	for _, selects := range []string{"port = 80", "port = 7", "fwmark = 7"} {
		text += fmt.Sprintf(`
[[l4.service]]
name      = %q
vip       = "edge"
%s
scheduler = "mh"
check     = { kind = "tcp", port = 80, interval = "1s" }
server    = [{ address = "172.20.0.11" }, { address = "172.20.0.12" }]
`, strings.ReplaceAll(selects, " = ", "-"), selects)
	}
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) request() lab.Request { return lab.Request{URL: "http://" + vip + "/"} }

// run starts the director. It owns the address from the start: who does is
// another matter.
func (n *node) run(t *testing.T) *lab.Proc {
	t.Helper()
	p := n.Start(os.Getenv("PORTICO_BIN"), "run", "--config", n.config, "--only", "l4,health")
	n.logs = append(n.logs, p)
	return p
}

// putRight counts how often a director found that another tool had been at its
// services.
func (n *node) putRight() (count int) {
	for _, p := range n.logs {
		count += strings.Count(p.Log(), "changed by another tool")
	}
	return count
}

// kubeProxy starts kube-proxy, which ends with its standard input.
func (n *node) kubeProxy(t *testing.T, args ...string) *lab.Proc {
	t.Helper()
	cmd := n.Command(n.binary, append([]string{"kube-proxy"}, args...)...)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return cmd.Spawn()
}

func (n *node) startProxy(t *testing.T, args ...string) {
	t.Helper()
	n.proxy = n.kubeProxy(t, append([]string{
		"--proxy-mode=ipvs", "--kubeconfig=" + n.api, "--hostname-override=director", "--ipvs-sync-period=" + syncs.String(), "-v=4",
		"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249",
		// These belong to the whole machine.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
	}, args...)...)
}

func (n *node) stopProxy() { n.proxy.Kill() }

// ours and theirs are the services of either, as ipvsadm words them.
func (n *node) ours() string   { return n.with(vip+":", "-f 7 ") }
func (n *node) theirs() string { return n.with(clusterIP + ":") }

func (n *node) with(texts ...string) string {
	var b strings.Builder
	for line := range strings.Lines(n.Output("ipvsadm", "-Sn")) {
		if slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(line, s) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func (n *node) whole() error {
	if ours := n.ours(); strings.Count(ours, " -w 1") != 6 {
		return fmt.Errorf("\n%s", n.Output("ipvsadm", "-Sn"))
	}
	return nil
}

func (n *node) waitOurs(t *testing.T, within time.Duration) {
	t.Helper()
	lab.Eventually(t, within, "our services with all servers", n.whole)
}

func (n *node) waitTheirs(t *testing.T) {
	t.Helper()
	lab.Eventually(t, patience, "kube-proxy's service with its server, and a look at all of IPVS", func() error {
		log := n.proxy.Log()
		if theirs := n.theirs(); !strings.Contains(theirs, "-r 172.20.0.11:8080 -m") || !strings.Contains(log, "syncProxyRules complete") {
			return fmt.Errorf("%s\n%s", theirs, log)
		}
		return nil
	})
}

// watch looks at our services until the director has put something right, and
// returns the longest time for which they were not whole.
func (n *node) watch(t *testing.T, right func() bool) (longest time.Duration) {
	t.Helper()
	var gone time.Time
	lab.Eventually(t, patience, "kube-proxy deletes what is ours, and it comes back", func() error {
		err, now := n.whole(), time.Now()
		switch {
		case err == nil && !gone.IsZero():
			longest = max(longest, now.Sub(gone))
			gone = time.Time{}
		case err != nil && gone.IsZero():
			gone = now
		}
		if longest == 0 || !right() {
			return fmt.Errorf("gone for %v so far: %v", longest, err)
		}
		return nil
	})
	return longest
}

// pass lets some time pass in which the client goes on.
func pass(t *testing.T, p *lab.Prober, during time.Duration) {
	t.Helper()
	from, until := p.OK(), time.Now().Add(during)
	lab.Eventually(t, patience, "answers meanwhile", func() error {
		if p.OK() == from || time.Now().Before(until) {
			return fmt.Errorf("%d answers", p.OK()-from)
		}
		return nil
	})
}

// hold opens connections that stay, and say nothing until they are asked.
func (n *node) hold(t *testing.T) (conns []net.Conn) {
	t.Helper()
	for range 20 {
		c, err := n.client.DialContext(t.Context(), "tcp", net.JoinHostPort(vip, "7"))
		if err == nil {
			err = c.(*net.TCPConn).SetKeepAlive(false)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// broken counts the connections that answer no more.
func broken(conns []net.Conn) (n int) {
	for _, c := range conns {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := fmt.Fprintln(c, "still there?")
		if err == nil {
			_, err = bufio.NewReader(c).ReadString('\n')
		}
		if err != nil {
			n++
		}
	}
	return n
}

// ms is a duration as figures show it.
func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
