package l4_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
)

func machine(name string, addrs ...string) l4.Node {
	n := l4.Node{Name: name}
	for _, a := range addrs {
		n.Addrs = append(n.Addrs, netip.MustParseAddr(a))
	}
	return n
}

// lines prints the services that cfg stands for, and their servers.
func lines(cfg l4.Config) (out []string) {
	for _, s := range cfg.Services {
		for _, k := range s.Keys() {
			out = append(out, k.String())
		}
		for _, r := range s.Servers {
			from := ""
			if r.Selector != "" {
				from = " by " + r.Selector
			}
			out = append(out, strings.TrimSpace(fmt.Sprintf("-> %s %s weight %d%s, %s", r.Name, r.Addr, r.Weight, from, r.Check)))
		}
	}
	return out
}

func TestResolve(t *testing.T) {
	three := []l4.Node{machine("edge-1", "10.0.0.1", "2001:db8::1"), machine("edge-2", "10.0.0.2"), machine("edge-3", "2001:db8::3")}
	for name, tt := range map[string]struct {
		toml  string
		nodes []l4.Node
		want  []string
	}{
		"the family of the address": {`vip = "edge"
port = 80
servers_from = { node_selector = "edgenode=true" }`, three, []string{
			"tcp 192.0.2.10:80",
			"-> edge-1 10.0.0.1:80 weight 1 by edgenode=true, tcp 10.0.0.1:80",
			"-> edge-2 10.0.0.2:80 weight 1 by edgenode=true, tcp 10.0.0.2:80",
		}},
		"both families, a check and a weight": {`vip = "both"
port = 80
servers_from = { node_selector = "edgenode=true", weight = 5, port = 0 }
check = { kind = "http", port = 9181 }`, three, []string{
			"tcp 192.0.2.10:80", "tcp [2001:db8::10]:80",
			"-> edge-1 10.0.0.1:80 weight 5 by edgenode=true, http 10.0.0.1:9181/",
			"-> edge-1 [2001:db8::1]:80 weight 5 by edgenode=true, http [2001:db8::1]:9181/",
			"-> edge-2 10.0.0.2:80 weight 5 by edgenode=true, http 10.0.0.2:9181/",
			"-> edge-3 [2001:db8::3]:80 weight 5 by edgenode=true, http [2001:db8::3]:9181/",
		}},
		"beside others": {`vip = "edge"
port = 80
servers_from = { node_selector = "edgenode=true" }
[[service.server]]
address = "10.0.0.2"
name = "old"
weight = 9`, three, []string{
			"tcp 192.0.2.10:80",
			"-> old 10.0.0.2:80 weight 9, tcp 10.0.0.2:80",
			"-> edge-1 10.0.0.1:80 weight 1 by edgenode=true, tcp 10.0.0.1:80",
		}},
		"another port by nat": {`vip = "edge"
port = 80
forward = "nat"
servers_from = { node_selector = "edgenode=true", port = 8080 }`, three[:1], []string{
			"tcp 192.0.2.10:80",
			"-> edge-1 10.0.0.1:8080 weight 1 by edgenode=true, tcp 10.0.0.1:8080",
		}},
		"neither the service's address nor the sorry server": {`vip = "edge"
port = 80
sorry = "10.0.0.2:80"
servers_from = { node_selector = "edgenode=true" }`, append(three[:2:2], machine("owner", "192.0.2.10")), []string{
			"tcp 192.0.2.10:80",
			"-> edge-1 10.0.0.1:80 weight 1 by edgenode=true, tcp 10.0.0.1:80",
		}},
		"a tunnel to the other family": {`vip = "edge"
port = 80
forward = "tunnel"
servers_from = { node_selector = "edgenode=true" }`, three[2:], []string{
			"tcp 192.0.2.10:80",
			"-> edge-3 [2001:db8::3]:80 weight 1 by edgenode=true, tcp [2001:db8::3]:80",
		}},
		"a mark": {`vip = "both"
fwmark = 7
servers_from = { node_selector = "edgenode=true" }
check = { kind = "ping" }`, three[:1], []string{
			"fwmark 7", "fwmark6 7",
			"-> edge-1 10.0.0.1:0 weight 1 by edgenode=true, ping 10.0.0.1",
			"-> edge-1 [2001:db8::1]:0 weight 1 by edgenode=true, ping 2001:db8::1",
		}},
		"nobody yet": {`vip = "edge"
port = 80
servers_from = { node_selector = "edgenode=true" }`, nil, nil},
		"nobody of a family": {`vip = "both"
port = 80
servers_from = { node_selector = "edgenode=true" }`, three[2:], []string{
			"tcp [2001:db8::10]:80",
			"-> edge-3 [2001:db8::3]:80 weight 1 by edgenode=true, tcp [2001:db8::3]:80",
		}},
		"nobody, refused": {`vip = "edge"
port = 80
all_down = "reject"
quorum = 3
servers_from = { node_selector = "edgenode=true" }`, nil, []string{"tcp 192.0.2.10:80"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, faults := parse(t, "[[service]]\nname = \"web\"\n"+tt.toml)
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			before := lines(cfg)
			got := lines(cfg.Resolve(map[string][]l4.Node{"edgenode=true": tt.nodes, "other": three}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, lines(cfg)); diff != "" {
				t.Errorf("the configuration was changed:\n%s", diff)
			}
		})
	}
}

func TestSelectors(t *testing.T) {
	cfg, faults := parse(t, `
[[service]]
name = "a"
vip = "edge"
port = 80
servers_from = { node_selector = "b=2, a in (y,x)" }
[[service]]
name = "b"
vip = "edge"
port = 81
servers_from = { node_selector = "a in (x,y),b=2" }
[[service]]
name = "c"
vip = "edge"
port = 82
[[service.server]]
address = "10.0.0.1"
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if got := cfg.Selectors(); !slices.Equal(got, []string{"a in (x,y),b=2"}) {
		t.Errorf("%q", got)
	}
}

func TestParseFromFaults(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`: {`.node_selector: is missing: write the labels of the Nodes that serve, as in "edgenode=true"`},
		`{ node_selector = "edgenode=true=x", weight = -1 }`: {
			`.node_selector: "edgenode=true=x": found '=', expected: ',' or 'end of string': write labels as in "edgenode=true,stage!=test"`,
			`.weight: -1 is out of range: allowed are 0 to 65535`,
		},
		`{ node_selector = "edgenode", port = 8080 }`: {
			`.port: 8080 differs from the service's port 80: only forward = "nat" can change a port, leave this key out`,
		},
		`{ node_selector = "edgenode", port = 70000 }`: {`.port: 70000 is not a port: allowed are 1 to 65535`},
	} {
		_, got := parse(t, "[[service]]\nname = \"web\"\nvip = \"edge\"\nport = 80\nservers_from = "+text)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "l4.service[0].servers_from")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	_, got := parse(t, "[[service]]\nname = \"web\"\nvip = \"edge\"\nport = 80\nprotocol = \"udp\"\nservers_from = { node_selector = \"edgenode\" }\nquorum = -1\nall_down = \"reject\"\n")
	if diff := cmp.Diff([]string{
		"l4.service[0].check: is missing: a udp port cannot be asked, name a tcp or http port that tells whether the server works",
		"l4.service[0].quorum: -1 is out of range: allowed are 1 and more",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
