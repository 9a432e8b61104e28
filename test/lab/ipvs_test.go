package lab_test

import (
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/lab"
)

// TestDirectRouting builds what the product is about by hand: a director that
// is not a backend, two backends with the VIP on lo, and ipvsadm.
func TestDirectRouting(t *testing.T) {
	lab.NeedIPVS(t)
	const vip = "172.20.0.50"
	l := lab.New(t)
	lan := l.Network("lan")
	director, client := l.Node("director"), l.Node("client")
	director.Attach(lan, "eth0", "172.20.0.1/24", vip+"/32")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	director.Output("ipvsadm", "-A", "-t", vip+":80", "-s", "rr")
	for name, addr := range map[string]string{"edge-1": "172.20.0.113", "edge-2": "172.20.0.114"} {
		edge := l.Node(name)
		edge.Attach(lan, "eth0", addr+"/24")
		edge.NoReversePathFilter()
		edge.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		edge.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		edge.AddAddr("lo", vip+"/32")
		edge.Serve(vip+":80", says(name))
		director.Output("ipvsadm", "-a", "-t", vip+":80", "-r", addr, "-g")
		if out := edge.Output("ipvsadm", "-Ln"); strings.Contains(out, vip) {
			t.Errorf("%s has the director's service: %s", name, out)
		}
	}
	table := director.Output("ipvsadm", "-Ln")
	t.Log(table)
	table = strings.Join(strings.Fields(table), " ")
	for _, want := range []string{"TCP 172.20.0.50:80 rr", "-> 172.20.0.113:80 Route 1", "-> 172.20.0.114:80 Route 1"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q", want)
		}
	}
	tally := client.Burst(20, 2, lab.Request{URL: "http://" + vip + "/"})
	t.Log(tally)
	if tally.By["edge-1"] != 10 || tally.By["edge-2"] != 10 {
		t.Errorf("not half and half: %v", tally)
	}
}
