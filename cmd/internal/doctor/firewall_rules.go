package doctor

import (
	"net/netip"
	"strings"
)

// A flow is a packet from outside, as a firewall sees it before anything is
// known of its connection.
type flow struct {
	// name is what people call it, such as "VRRP".
	name  string
	proto uint8
	port  uint16 // of the destination; 0 for protocols without
	iface string
	dst   netip.Addr
}

// A tri is what a rule's conditions say of a flow.
type tri int8

const (
	no    tri = iota
	maybe     // it depends on what a flow does not say, or on what is not understood here
	yesly
)

func all(a, b tri) tri { return min(a, b) }

func not(t tri) tri { return yesly - t }

func triOf(b bool) tri {
	if b {
		return yesly
	}
	return no
}

// An outcome is a set of what may become of a flow.
type outcome uint8

const (
	accepted outcome = 1 << iota
	dropped
	passed // nothing was decided: the chain's policy, or the caller, does
)

// A fwRule is one rule: conditions on a flow, and what follows.
type fwRule struct {
	match func(flow) tri
	// result is decided here, or by the chain target where that is named; stay
	// says that evaluation comes back from there.
	result outcome
	target string
	stay   bool
}

// A fwChain is a list of rules. hook says that packets to this machine come
// here by themselves; policy is then what becomes of those that no rule
// decides.
type fwChain struct {
	// name is written as a command wants it, "inet filter input"; manager is
	// the program whose table it is: "nft", "iptables", "firewalld".
	name, manager string
	// family is "ip", "ip6", or "inet" for both.
	family string
	hook   bool
	policy outcome
	rules  []fwRule
}

// A ruleset is chains by their names; hooked are those with a hook, in order.
type ruleset struct {
	chains map[string]*fwChain
	hooked []*fwChain
}

func newRuleset() *ruleset { return &ruleset{chains: map[string]*fwChain{}} }

func (r *ruleset) add(c *fwChain) {
	r.chains[c.name] = c
	if c.hook {
		r.hooked = append(r.hooked, c)
	}
}

// maxJumps is more than the kernel allows (NFT_JUMP_STACK_SIZE, 16).
const maxJumps = 20

// through returns what may become of a flow in a chain.
func (r *ruleset) through(c *fwChain, f flow, depth int) outcome {
	var may outcome
	for _, rule := range c.rules {
		m := rule.match(f)
		if m == no {
			continue
		}
		got := rule.result
		if rule.target != "" {
			got = accepted | dropped | passed
			if t := r.chains[rule.target]; t != nil && depth < maxJumps {
				got = r.through(t, f, depth+1)
			}
		}
		goesOn := m == maybe || rule.stay && got&passed != 0
		if rule.stay {
			got &^= passed
		}
		if may |= got; !goesOn {
			return may
		}
	}
	return may | passed
}

// blocked returns the chain in which a flow ends, and whether it does so for
// certain; nil where all let it pass.
func (r *ruleset) blocked(f flow) (c *fwChain, certain bool) {
	for _, h := range r.hooked {
		if h.family == "ip" && !f.dst.Is4() || h.family == "ip6" && f.dst.Is4() {
			continue
		}
		got := r.through(h, f, 0)
		if got&passed != 0 {
			got = got&^passed | h.policy
		}
		if got == dropped {
			return h, true
		}
		if got&dropped != 0 && c == nil {
			c = h
		}
	}
	return c, false
}

// protocols are the names that firewalls print for numbers.
var protocols = map[string]uint8{
	"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51,
	"icmpv6": 58, "ipv6-icmp": 58, "comp": 108, "vrrp": 112, "sctp": 132, "udplite": 136,
}

// ifaceIs compares an interface with a name that may end in a wildcard.
func ifaceIs(iface, pattern string, wildcard string) tri {
	if prefix, ok := strings.CutSuffix(pattern, wildcard); ok {
		return triOf(strings.HasPrefix(iface, prefix))
	}
	return triOf(iface == pattern)
}

// stateIs says whether a flow's connection is in one of the states: it is new.
func stateIs(states []string) tri {
	got := no
	for _, s := range states {
		switch strings.ToLower(s) {
		case "new":
			return yesly
		case "untracked":
			got = maybe
		}
	}
	return got
}
