package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// putRight is how long what another tool does to our services lasts at most.
// The kernel tells nobody of it: it is looked at every three seconds.
const putRight = 10 * time.Second

// TestMeddlingIsPutRight has another tool do to our service and its settings
// whatever can be done to one.
func TestMeddlingIsPutRight(t *testing.T) {
	e := start(t, edge.Options{Nodes: 2})
	owner := e.WaitReady(patience)
	vip, first, second := e.VIP()+":80", e.Nodes[0].Addr, e.Nodes[1].Addr
	owner.RewriteConfig(func(text string) string {
		return strings.Replace(text, "[[vip]]", "[l4.timeouts]\ntcp = \"20m\"\n\n[[vip]]", 1)
	})
	owner.Director.Reload()
	lab.Eventually(t, patience, "the timeout", func() error { return holds(owner, "1200 120 300") })
	want := everything(owner)
	t.Logf("%s", want)
	for _, m := range []struct {
		name string
		args []string
	}{
		{"a server was added", []string{"ipvsadm", "-a", "-t", vip, "-r", "172.20.0.77", "-g", "-w", "9"}},
		{"a weight was changed", []string{"ipvsadm", "-e", "-t", vip, "-r", first, "-g", "-w", "9"}},
		{"a weight was set to 0", []string{"ipvsadm", "-e", "-t", vip, "-r", second, "-g", "-w", "0"}},
		{"forwarding was changed", []string{"ipvsadm", "-e", "-t", vip, "-r", second, "-i", "-w", "1"}},
		{"thresholds were set", []string{"ipvsadm", "-e", "-t", vip, "-r", first, "-g", "-w", "1", "-x", "10", "-y", "5"}},
		{"a server was removed", []string{"ipvsadm", "-d", "-t", vip, "-r", first}},
		{"the scheduler was changed", []string{"ipvsadm", "-E", "-t", vip, "-s", "lc"}},
		{"the scheduler's flags were changed", []string{"ipvsadm", "-E", "-t", vip, "-s", "mh"}},
		{"persistence was set", []string{"ipvsadm", "-E", "-t", vip, "-s", "mh", "-b", "mh-fallback,mh-port", "-p", "60"}},
		{"the service was removed", []string{"ipvsadm", "-D", "-t", vip}},
		{"everything was removed", []string{"ipvsadm", "-C"}},
		{"timeouts were set", []string{"ipvsadm", "--set", "60", "120", "300"}},
		{"sloppy_tcp was set", []string{"sysctl", "-q", "net.ipv4.vs.sloppy_tcp=0"}},
		{"expire_nodest_conn was set", []string{"sysctl", "-q", "net.ipv4.vs.expire_nodest_conn=0"}},
	} {
		since := mark()
		owner.Output(m.args[0], m.args[1:]...)
		if everything(owner) == want {
			t.Errorf("%s: nothing is to be seen of it", m.name)
		}
		lab.Eventually(t, patience, m.name+": as before", func() error { return holds(owner, want) })
		back := since()
		figure(t, "%s: put right after %v", m.name, back)
		if back > putRight {
			t.Errorf("%s: put right after %v", m.name, back)
		}
	}
	tally := e.Client.Burst(60, 4, e.Request())
	if tally.Answered != 60 || tally.By[e.Nodes[0].Name()] == 0 || tally.By[e.Nodes[1].Name()] == 0 {
		t.Errorf("afterwards: %v", tally)
	}
}

// holds returns nil if everything that IPVS holds at the node includes text.
func holds(n *edge.Node, text string) error {
	if all := everything(n); !strings.Contains(all, text) {
		return fmt.Errorf("\n%s", all)
	}
	return nil
}

// everything is what IPVS holds at the node, and its settings.
func everything(n *edge.Node) string {
	var b strings.Builder
	b.WriteString(n.Output("ipvsadm", "-Sn"))
	b.WriteString(n.Output("ipvsadm", "-Ln", "--thresholds"))
	b.WriteString(n.Output("ipvsadm", "-L", "--timeout"))
	for _, name := range []string{"sloppy_tcp", "expire_nodest_conn"} {
		fmt.Fprintln(&b, name, n.GetSysctl("net.ipv4.vs."+name))
	}
	return b.String()
}
