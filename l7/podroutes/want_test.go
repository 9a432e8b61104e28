package podroutes_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/podroutes"
)

// nodes reads "NAME POD-CIDRS ADDRESSES", a Node each.
func nodes(texts ...string) (out []podroutes.Node) {
	for _, text := range texts {
		f := strings.Fields(text)
		n := &corev1.Node{}
		n.Name = f[0]
		if f[1] != "-" {
			n.Spec.PodCIDRs = strings.Split(f[1], ",")
		}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: f[0]}, {Type: corev1.NodeExternalIP, Address: "203.0.113.9"}}
		for _, a := range strings.Split(f[2], ",") {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}
		out = append(out, podroutes.ParseNode(n))
	}
	return out
}

func TestWant(t *testing.T) {
	local := []netip.Addr{netip.MustParseAddr("172.20.0.11"), netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("fd00:20::11")}
	for _, tt := range []struct {
		name  string
		nodes []podroutes.Node
		want  []string
	}{
		{"by name", nodes("b 10.244.2.0/24 172.20.0.22", "a 10.244.1.0/24 172.20.0.21"),
			[]string{"10.244.1.0/24 via 172.20.0.21", "10.244.2.0/24 via 172.20.0.22"}},
		{"both families", nodes("a 10.244.1.0/24,fd00:244:1::/64 172.20.0.21,fd00:20::21"),
			[]string{"10.244.1.0/24 via 172.20.0.21", "fd00:244:1::/64 via fd00:20::21"}},
		{"bits behind the prefix", nodes("a 10.244.1.7/24 172.20.0.21"), []string{"10.244.1.0/24 via 172.20.0.21"}},
		{"this machine", nodes("me 10.244.1.0/24 172.20.0.11"), nil},
		{"no address of the family", nodes("a fd00:244:1::/64 172.20.0.21"),
			[]string{"! a has no InternalIP of the family of its podCIDR fd00:244:1::/64"}},
		{"no Pods", nodes("a - 172.20.0.21"), []string{"! a has no podCIDR: "}},
		{"everything", nodes("a 0.0.0.0/0 172.20.0.21"), []string{"! a its podCIDR 0.0.0.0/0 is too wide"}},
		{"an address of ours", nodes("a 10.99.0.0/16 172.20.0.21"), []string{"! a its podCIDR 10.99.0.0/16 contains 10.99.0.1 of this machine"}},
		{"its own address", nodes("a 10.1.0.0/16 10.1.0.9"), []string{"! a its podCIDR 10.1.0.0/16 contains its own address 10.1.0.9"}},
		{"twice", nodes("a 10.244.1.0/24 172.20.0.21", "b 10.244.1.0/24 172.20.0.22"),
			[]string{"10.244.1.0/24 via 172.20.0.21", "! b its podCIDR 10.244.1.0/24 is that of Node a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routes, faults := podroutes.Want(tt.nodes, local)
			var got []string
			for _, r := range routes {
				got = append(got, r.String())
			}
			for _, f := range faults {
				line := fmt.Sprintf("! %s %s", f.Node, f.Reason)
				if n := len(got); n < len(tt.want) && strings.HasPrefix(line, tt.want[n]) {
					line = tt.want[n]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	found := func(ours bool, pods, via string) podroutes.Found {
		return podroutes.Found{Pods: netip.MustParsePrefix(pods), Via: netip.MustParseAddr(via), Ours: ours}
	}
	route := func(pods, via string) podroutes.Route {
		return podroutes.Route{Pods: netip.MustParsePrefix(pods), Via: netip.MustParseAddr(via), Node: "n"}
	}
	have := []podroutes.Found{
		found(true, "10.244.1.0/24", "172.20.0.21"),
		found(true, "10.244.2.0/24", "172.20.0.22"),
		found(false, "10.244.3.0/24", "172.20.0.23"),
		found(true, "10.244.9.0/24", "172.20.0.29"),
		found(false, "192.168.0.0/16", "172.20.0.1"),
	}
	ops, faults := podroutes.Diff(have, []podroutes.Route{
		route("10.244.1.0/24", "172.20.0.21"), route("10.244.2.0/24", "172.20.0.32"),
		route("10.244.3.0/24", "172.20.0.33"), route("10.244.4.0/24", "172.20.0.24"),
	})
	want := []string{"replace 10.244.2.0/24 via 172.20.0.32", "replace 10.244.4.0/24 via 172.20.0.24", "del 10.244.9.0/24 via 172.20.0.29"}
	var got []string
	for _, o := range ops {
		got = append(got, o.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(faults) != 1 || !strings.Contains(faults[0].Reason, "another program routes 10.244.3.0/24") {
		t.Errorf("faults %v", faults)
	}
}
