package doctor

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/lab"
)

var (
	vrrp4  = flow{name: "VRRP", proto: 112, iface: "eth0", dst: netip.MustParseAddr("224.0.0.18")}
	vrrp6  = flow{name: "VRRP", proto: 112, iface: "eth0", dst: netip.MustParseAddr("ff02::12")}
	http80 = flow{name: "HTTP", proto: 6, port: 80, iface: "eth0", dst: netip.MustParseAddr("192.0.2.10")}
)

// firewalls are rules as people type them, with what becomes of vrrp4, vrrp6
// and http80: "in", "out" or "?".
var firewalls = []struct{ name, rules, want string }{
	{"open", "policy accept", "in in in"},
	{"closed", "policy drop", "out out out"},
	{"by protocol", "policy drop; ip protocol 112 accept", "in out out"},
	{"by number of both", "policy drop; meta l4proto 112 accept", "in in out"},
	{"by set", "policy drop; meta l4proto { tcp, vrrp } accept", "in in in"},
	{"by group", "policy drop; ip daddr 224.0.0.18 accept; ip6 daddr ff02::/16 accept", "in in out"},
	{"by range", "policy drop; ip daddr 224.0.0.0-224.0.0.255 accept", "in out out"},
	{"by kind", "policy drop; meta pkttype multicast accept", "in in out"},
	{"by interface", `policy drop; iifname "eth*" accept`, "in in in"},
	{"by another interface", `policy drop; iifname != "eth0" accept`, "out out out"},
	{"replies", "policy drop; ct state established,related accept", "out out out"},
	{"new ones", "policy drop; ct state new tcp dport 80 accept", "out out in"},
	{"ports", "policy drop; tcp dport { 22, 80-90 } accept", "out out in"},
	{"other ports", "policy drop; th dport 22 accept", "out out out"},
	{"senders", "policy drop; ip saddr 192.0.2.0/24 accept", "? out ?"},
	{"limits", "policy drop; meta l4proto 112 limit rate 10/second accept", "? ? out"},
	{"reject", "policy accept; tcp dport 80 reject", "in in out"},
	{"order", "policy accept; ip protocol 112 drop; ip protocol 112 accept", "out in in"},
	{"counted", "policy accept; counter; log", "in in in"},
	{"jump", "policy drop; ip protocol 112 jump sub", "in out out"},
	{"map", "policy drop; meta l4proto vmap { 112 : accept, tcp : drop }", "in in out"},
}

func verdicts(r *ruleset) string {
	var out []string
	for _, f := range []flow{vrrp4, vrrp6, http80} {
		switch c, certain := r.blocked(f); {
		case c == nil:
			out = append(out, "in")
		case certain:
			out = append(out, "out")
		default:
			out = append(out, "?")
		}
	}
	return strings.Join(out, " ")
}

// TestFirewall has nft take each table of rules, and reads them back.
func TestFirewall(t *testing.T) {
	l := lab.New(t)
	n := l.Node("edge")
	for _, fw := range firewalls {
		rules := strings.Split(fw.rules, "; ")
		var text strings.Builder
		fmt.Fprintf(&text, "flush ruleset\ntable inet filter {\n chain sub { accept; }\n chain input { type filter hook input priority 0; %s;\n", rules[0])
		for _, r := range rules[1:] {
			fmt.Fprintln(&text, "  "+r)
		}
		text.WriteString(" }\n}\n")
		file := n.Dir() + "/rules"
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		n.Output("nft", "-f", file)
		n.Do(func() {
			r, err := readFirewall(t.Context(), os.DirFS("/"))
			if err != nil {
				t.Fatal(err)
			}
			if got := verdicts(r); got != fw.want {
				t.Errorf("%s: %s: got %s, want %s", fw.name, fw.rules, got, fw.want)
			}
		})
	}
	found := judgeFirewall(mustRules(t, n), []flow{vrrp4})
	if len(found) != 1 || found[0].Verdict != OK {
		t.Errorf("the last allows VRRP: %+v", found)
	}
	n.Output("nft", "flush", "chain", "inet", "filter", "input")
	found = judgeFirewall(mustRules(t, n), []flow{vrrp4})
	if len(found) != 1 || found[0].Verdict != Fail {
		t.Fatalf("without rules it drops: %+v", found)
	}
	cure, _, _ := strings.Cut(found[0].Cure[0], "#")
	n.Output("sh", "-c", cure)
	if found = judgeFirewall(mustRules(t, n), []flow{vrrp4}); found[0].Verdict != OK {
		t.Errorf("after its cure %q: %+v", cure, found)
	}
}

func mustRules(t *testing.T, n *lab.Node) *ruleset {
	t.Helper()
	var r *ruleset
	n.Do(func() {
		var err error
		if r, err = readFirewall(t.Context(), os.DirFS("/")); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestIPTables reads what the old iptables saves, and what the new one makes
// of the same options in nftables.
func TestIPTables(t *testing.T) {
	rows := []struct{ rules, want string }{
		{":INPUT ACCEPT [0:0]", "in in in"},
		{":INPUT DROP [0:0]", "out in out"},
		{":INPUT DROP [0:0]\n-A INPUT -p vrrp -j ACCEPT", "in in out"},
		{":INPUT DROP [0:0]\n-A INPUT -d 224.0.0.0/24 -i eth+ -j ACCEPT", "in in out"},
		{":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT", "out in out"},
		{":INPUT DROP [0:0]\n-A INPUT -p tcp -m multiport --dports 22,80:90 -j ACCEPT", "out in in"},
		{":INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "out in out"},
		{":INPUT ACCEPT [0:0]\n-A INPUT ! -p tcp -j DROP", "out in in"},
		{":INPUT ACCEPT [0:0]\n-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable", "in in ?"},
		{":INPUT DROP [0:0]\n:in - [0:0]\n-A INPUT -p 112 -j in\n-A in -j ACCEPT", "in in out"},
		{":INPUT DROP [0:0]\n:in - [0:0]\n-A INPUT -g in\n-A in -p tcp -j RETURN\n-A in -j ACCEPT", "in in out"},
		{":INPUT ACCEPT [0:0]\n-A INPUT -j LOG --log-prefix \"a b\"", "in in in"},
	}
	for _, row := range rows {
		r := newRuleset()
		r.parseIPTables("*filter\n"+row.rules+"\nCOMMIT\n", false)
		if got := verdicts(r); got != row.want {
			t.Errorf("%s: got %s, want %s", row.rules, got, row.want)
		}
	}
}

// FuzzFirewall: whatever tools print is read to an end.
func FuzzFirewall(f *testing.F) {
	f.Add(`{"nftables":[{"chain":{"family":"inet","table":"t","name":"i","hook":"input","policy":"drop"}},{"rule":{"family":"inet","table":"t","chain":"i","expr":[{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":{"set":["tcp",112]}}},{"jump":{"target":"i"}}]}}]}`)
	f.Add(":INPUT DROP [0:0]\n:a - [0:0]\n-A INPUT -p 112 ! -s 1.2.3.4 -j a\n-A a -j a")
	f.Fuzz(func(_ *testing.T, text string) {
		if r, err := parseNFT([]byte(text)); err == nil {
			verdicts(r)
		}
		r := newRuleset()
		r.parseIPTables(text, false)
		verdicts(r)
	})
}
