package doctor

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parseIPTables adds what `iptables-legacy-save -t filter`, or with v6
// ip6tables-legacy-save, prints.
func (r *ruleset) parseIPTables(text string, v6 bool) {
	prefix, family := "iptables ", "ip"
	if v6 {
		prefix, family = "ip6tables ", "ip6"
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && words[0][0] == ':':
			name := words[0][1:]
			c := &fwChain{name: prefix + name, manager: strings.TrimSpace(prefix), family: family, hook: name == "INPUT", policy: accepted}
			if words[1] == "DROP" {
				c.policy = dropped
			}
			r.add(c)
		case len(words) >= 2 && words[0] == "-A":
			if c := r.chains[prefix+words[1]]; c != nil {
				if rule, ok := r.iptablesRule(prefix, words[2:]); ok {
					c.rules = append(c.rules, rule)
				}
			}
		}
	}
}

// iptablesRule reads the words behind the chain. Options that are not known
// here may or may not match.
func (r *ruleset) iptablesRule(prefix string, words []string) (fwRule, bool) {
	var conditions []func(flow) tri
	negated := false
	for i := 0; i < len(words); i++ {
		word, arg := words[i], ""
		if i+1 < len(words) {
			arg = words[i+1]
		}
		if word == "!" {
			negated = true
			continue
		}
		var c func(flow) tri
		switch word {
		case "-j", "-g":
			rule, ok := iptablesVerdict(prefix, word, arg, r)
			rule.match = conjunction(conditions)
			return rule, ok
		case "-m", "--comment":
			i++
			continue
		case "-p":
			c = func(f flow) tri { return protocolWord(arg, f) }
		case "-i":
			c = func(f flow) tri { return ifaceIs(f.iface, arg, "+") }
		case "-d":
			c = func(f flow) tri { return prefixWord(arg, f.dst) }
		case "--dport", "--dports":
			c = func(f flow) tri { return portWords(arg, f.port) }
		case "--state", "--ctstate":
			c = func(flow) tri { return stateIs(strings.Split(arg, ",")) }
		default:
			c = func(flow) tri { return maybe }
		}
		if negated {
			positive := c
			c = func(f flow) tri { return not(positive(f)) }
			negated = false
		}
		conditions = append(conditions, c)
		for i+1 < len(words) && words[i+1][0] != '-' && words[i+1] != "!" {
			i++
		}
	}
	return fwRule{}, false
}

func iptablesVerdict(prefix, how, target string, r *ruleset) (fwRule, bool) {
	switch target {
	case "ACCEPT":
		return fwRule{result: accepted}, true
	case "DROP", "REJECT":
		return fwRule{result: dropped}, true
	case "RETURN":
		return fwRule{result: passed}, true
	}
	if r.chains[prefix+target] != nil {
		return fwRule{target: prefix + target, stay: how == "-j"}, true
	}
	return fwRule{}, false // LOG, MARK and such
}

func protocolWord(word string, f flow) tri {
	if n, err := strconv.ParseUint(word, 10, 8); err == nil {
		return triOf(n == 0 || uint8(n) == f.proto)
	}
	if word == "all" {
		return yesly
	}
	n, known := protocols[word]
	if !known {
		return maybe
	}
	return triOf(n == f.proto)
}

func prefixWord(word string, a netip.Addr) tri {
	if p, err := netip.ParsePrefix(word); err == nil {
		return triOf(p.Contains(a))
	}
	if b, err := netip.ParseAddr(word); err == nil {
		return triOf(a == b)
	}
	return maybe
}

func portWords(words string, port uint16) tri {
	return triOf(slices.ContainsFunc(strings.Split(words, ","), func(w string) bool {
		from, to, isRange := strings.Cut(w, ":")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		return err1 == nil && err2 == nil && a <= int(port) && int(port) <= b
	}))
}
