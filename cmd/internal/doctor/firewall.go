package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

// checkFirewall: what comes to this node for VRRP, and for the ports of the
// proxy, is let in.
func checkFirewall(ctx context.Context, n *Node) []Finding {
	flows := flowsOf(n)
	if len(flows) == 0 {
		return skip("there is nothing to let in: no [[vip]] and no [[l7.entrypoint]] in " + n.ConfigPath)
	}
	rules, err := readFirewall(ctx, n.Files)
	if err != nil {
		return skip(err.Error())
	}
	return judgeFirewall(rules, flows)
}

// flowsOf is what must come in.
func flowsOf(n *Node) []flow {
	var out []flow
	for _, g := range n.Config.VIP.Groups {
		dst := g.Addresses[0].Addr()
		if g.Owner == vip.OwnerVRRP {
			f := flow{name: "VRRP (IP protocol 112)", proto: 112, iface: g.Interface, dst: vrrp.Multicast(dst)}
			if len(g.VRRP.Peers) > 0 {
				f.dst = dst // unicast comes to an address of this node: any stands for it
			}
			out = append(out, f)
		}
		for _, e := range n.Config.L7.Entrypoints {
			if a, err := netip.ParseAddrPort(listenAddr(e.Listen)); err == nil {
				out = append(out, flow{name: fmt.Sprintf("TCP port %d of %s", a.Port(), dst), proto: 6, port: a.Port(), iface: g.Interface, dst: dst})
			}
		}
	}
	return out
}

// listenAddr gives a listener without an address one that can be parsed.
func listenAddr(listen string) string {
	if strings.HasPrefix(listen, ":") {
		return "0.0.0.0" + listen
	}
	return listen
}

// readFirewall asks nft, and for the tables of old iptables their own tools.
func readFirewall(ctx context.Context, files fs.FS) (*ruleset, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("firewall rules are shown to root alone")
	}
	rules := newRuleset()
	text, err := output(ctx, "nft", "-j", "list", "ruleset")
	switch {
	case err == nil:
		if rules, err = parseNFT(text); err != nil {
			return nil, err
		}
	case errors.Is(err, exec.ErrNotFound):
		if _, err := fs.Stat(files, "proc/thread-self/net/ip_tables_names"); err != nil {
			return nil, errors.New("the command nft is not there to ask: apt-get install nftables")
		}
	default:
		return nil, err
	}
	for file, tool := range map[string]string{"ip_tables_names": "iptables", "ip6_tables_names": "ip6tables"} {
		names, err := fs.ReadFile(files, "proc/thread-self/net/"+file)
		if err != nil || !strings.Contains(string(names), "filter") {
			continue
		}
		text, err := output(ctx, tool+"-legacy-save", "-t", "filter")
		if errors.Is(err, exec.ErrNotFound) { // where there is one iptables only
			text, err = output(ctx, tool+"-save", "-t", "filter")
		}
		if err != nil {
			return nil, err
		}
		rules.parseIPTables(string(text), tool == "ip6tables")
	}
	return rules, nil
}

// output runs a command for a few seconds at most.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

func judgeFirewall(rules *ruleset, flows []flow) []Finding {
	var out []Finding
	for _, f := range flows {
		c, certain := rules.blocked(f)
		why := "clients get no answer"
		if f.proto == 112 {
			why = "two nodes that do not hear each other both own the address"
		}
		switch {
		case c == nil:
		case certain:
			out = append(out, fail(fmt.Sprintf("%s on %s is dropped by %s", f.name, f.iface, c.name), why, c.cure(f)...))
		default:
			out = append(out, warn(fmt.Sprintf("%s on %s may be dropped by %s: that depends on the sender or on rules that are not understood here", f.name, f.iface, c.name), why, c.cure(f)...))
		}
	}
	if len(rules.hooked) == 0 {
		return ok("there is no firewall")
	}
	return orOK(out, fmt.Sprintf("the firewall (%d chains) lets in what must come in", len(rules.hooked)))
}

// cure lets a flow in, in the way of the program that keeps the chain.
func (c *fwChain) cure(f flow) []string {
	proto, port := "vrrp", ""
	if f.proto == 6 {
		proto, port = "tcp", fmt.Sprintf(" --dport %d", f.port)
	}
	switch c.manager {
	case "firewalld":
		add := "--add-protocol=vrrp"
		if f.proto == 6 {
			add = fmt.Sprintf("--add-port=%d/tcp", f.port)
		}
		return []string{"firewall-cmd --permanent " + add, "firewall-cmd --reload"}
	case "iptables", "ip6tables":
		tool := "iptables"
		if !f.dst.Is4() {
			tool = "ip6tables"
		}
		return []string{fmt.Sprintf("%s -I INPUT -p %s%s -j ACCEPT   # and where the rules are kept for the next boot", tool, proto, port)}
	}
	match := "meta l4proto 112"
	if f.proto == 6 {
		match = fmt.Sprintf("tcp dport %d", f.port)
	}
	return []string{"nft insert rule " + c.name + " " + match + " accept   # and in /etc/nftables.conf for the next boot"}
}
