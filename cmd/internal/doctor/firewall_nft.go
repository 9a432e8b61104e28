package doctor

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// nftObject is an element of what `nft -j list ruleset` prints
// (libnftables-json(5)).
type nftObject struct {
	Chain *struct {
		Family, Table, Name, Hook, Policy string
	}
	Set *struct {
		Family, Table, Name string
		Elem                []json.RawMessage
	}
	Rule *struct {
		Family, Table, Chain string
		Expr                 []map[string]json.RawMessage
	}
}

// parseNFT reads the output of `nft -j list ruleset`.
func parseNFT(data []byte) (*ruleset, error) {
	var doc struct{ Nftables []nftObject }
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("nft ruleset: %w", err)
	}
	r := newRuleset()
	sets := map[string][]json.RawMessage{}
	for _, o := range doc.Nftables {
		if s := o.Set; s != nil {
			sets[s.Family+" "+s.Table+" "+s.Name] = s.Elem
		}
		c := o.Chain
		if c == nil || !slices.Contains([]string{"ip", "ip6", "inet"}, c.Family) {
			continue
		}
		chain := &fwChain{name: c.Family + " " + c.Table + " " + c.Name, manager: nftManager(c.Table, c.Name), family: c.Family, hook: c.Hook == "input" || c.Hook == "prerouting", policy: accepted}
		if c.Policy == "drop" {
			chain.policy = dropped
		}
		r.add(chain)
	}
	for _, o := range doc.Nftables {
		if o.Rule == nil {
			continue
		}
		table := o.Rule.Family + " " + o.Rule.Table + " "
		if c := r.chains[table+o.Rule.Chain]; c != nil {
			c.rules = append(c.rules, nftRules(table, o.Rule.Expr, sets)...)
		}
	}
	return r, nil
}

// nftManager is who keeps a table.
func nftManager(table, chain string) string {
	switch {
	case table == "firewalld":
		return "firewalld"
	case table == "filter" && chain == "INPUT":
		return "iptables"
	}
	return "nft"
}

// nftRules makes rules of one: a verdict map is as many as it has elements.
func nftRules(table string, exprs []map[string]json.RawMessage, sets map[string][]json.RawMessage) []fwRule {
	var conditions []func(flow) tri
	for _, e := range exprs {
		for kind, body := range e {
			switch kind {
			case "match":
				conditions = append(conditions, nftMatch(table, body, sets))
			case "vmap":
				return nftVerdictMap(table, conditions, body)
			case "limit", "xt", "quota", "connlimit", "flow":
				conditions = append(conditions, func(flow) tri { return maybe })
			default:
				if r, ok := nftVerdict(table, kind, body); ok {
					r.match = conjunction(conditions)
					return []fwRule{r}
				}
			}
		}
	}
	return nil // it counts, marks or logs
}

// conjunction is met where all conditions are.
func conjunction(conditions []func(flow) tri) func(flow) tri {
	conditions = slices.Clone(conditions)
	return func(f flow) tri {
		t := yesly
		for _, c := range conditions {
			t = all(t, c(f))
		}
		return t
	}
}

// nftVerdict is a rule without conditions that ends as the statement says.
func nftVerdict(table, kind string, body json.RawMessage) (fwRule, bool) {
	var to struct{ Target string }
	_ = json.Unmarshal(body, &to) // verdicts without a target are null
	switch kind {
	case "accept":
		return fwRule{result: accepted}, true
	case "drop", "reject":
		return fwRule{result: dropped}, true
	case "return":
		return fwRule{result: passed}, true
	case "jump", "goto":
		return fwRule{target: table + to.Target, stay: kind == "jump"}, true
	case "queue", "tproxy", "synproxy":
		return fwRule{result: accepted | dropped}, true
	}
	return fwRule{}, false
}

func nftVerdictMap(table string, conditions []func(flow) tri, body json.RawMessage) []fwRule {
	var m struct {
		Key  json.RawMessage
		Data struct{ Set [][2]json.RawMessage }
	}
	if json.Unmarshal(body, &m) != nil { // a named map
		return []fwRule{{match: conjunction(append(conditions, func(flow) tri { return maybe })), result: accepted | dropped}}
	}
	var out []fwRule
	for _, pair := range m.Data.Set {
		var verdict map[string]json.RawMessage
		if json.Unmarshal(pair[1], &verdict) != nil {
			continue
		}
		for kind, body := range verdict {
			if r, ok := nftVerdict(table, kind, body); ok {
				compare := nftCompare(table, m.Key, pair[0], nil)
				r.match = conjunction(append(slices.Clone(conditions), compare))
				out = append(out, r)
			}
		}
	}
	return out
}

func nftMatch(table string, body json.RawMessage, sets map[string][]json.RawMessage) func(flow) tri {
	var m struct {
		Op          string
		Left, Right json.RawMessage
	}
	if json.Unmarshal(body, &m) != nil || !slices.Contains([]string{"==", "!=", "in"}, m.Op) {
		return func(flow) tri { return maybe }
	}
	equal := nftCompare(table, m.Left, m.Right, sets)
	if m.Op == "!=" {
		return func(f flow) tri { return not(equal(f)) }
	}
	return equal
}

// nftCompare compares what left takes from a flow with right: a value, a set
// of values or the name of one.
func nftCompare(table string, left, right json.RawMessage, sets map[string][]json.RawMessage) func(flow) tri {
	var l struct {
		Meta    *struct{ Key string }
		CT      *struct{ Key string }
		Payload *struct{ Protocol, Field string }
	}
	if json.Unmarshal(left, &l) != nil {
		return func(flow) tri { return maybe }
	}
	values := nftValues(table, right, sets)
	switch {
	case values == nil:
	case l.CT != nil && l.CT.Key == "state":
		states := make([]string, len(values))
		for i, v := range values {
			_ = json.Unmarshal(v, &states[i])
		}
		return func(flow) tri { return stateIs(states) }
	case l.Meta != nil:
		return func(f flow) tri {
			return anyOf(values, func(v json.RawMessage) tri { return nftMeta(l.Meta.Key, v, f) })
		}
	case l.Payload != nil:
		return func(f flow) tri { return nftPayload(l.Payload.Protocol, l.Payload.Field, values, f) }
	}
	return func(flow) tri { return maybe }
}

// nftValues lists the values of the right side; nil where they are not known.
func nftValues(table string, right json.RawMessage, sets map[string][]json.RawMessage) []json.RawMessage {
	var set struct{ Set []json.RawMessage }
	var list []json.RawMessage
	var name string
	switch {
	case json.Unmarshal(right, &list) == nil:
		return list
	case json.Unmarshal(right, &set) == nil && set.Set != nil:
		return set.Set
	case json.Unmarshal(right, &name) == nil && name != "" && name[0] == '@':
		return sets[table+name[1:]]
	}
	return []json.RawMessage{right}
}

func anyOf(values []json.RawMessage, is func(json.RawMessage) tri) tri {
	t := no
	for _, v := range values {
		t = max(t, is(v))
	}
	return t
}

func nftMeta(key string, v json.RawMessage, f flow) tri {
	var name string
	_ = json.Unmarshal(v, &name) // numbers are of protocols alone
	switch key {
	case "l4proto":
		return protocolIs(v, f)
	case "iifname", "iif":
		return ifaceIs(f.iface, name, "*")
	case "nfproto":
		return triOf(f.dst.Is4() == (name == "ipv4"))
	case "pkttype":
		return triOf(f.dst.IsMulticast() == (name == "multicast"))
	}
	return maybe
}

func protocolIs(v json.RawMessage, f flow) tri {
	var number uint8
	var name string
	if json.Unmarshal(v, &number) == nil {
		return triOf(number == f.proto)
	}
	_ = json.Unmarshal(v, &name)
	number, known := protocols[name]
	if !known {
		return maybe
	}
	return triOf(number == f.proto)
}

func nftPayload(protocol, field string, values []json.RawMessage, f flow) tri {
	is := func(json.RawMessage) tri { return maybe }
	switch protocol {
	case "ip", "ip6":
		if f.dst.Is4() != (protocol == "ip") {
			return no
		}
		switch field {
		case "protocol", "nexthdr":
			is = func(v json.RawMessage) tri { return protocolIs(v, f) }
		case "daddr":
			is = func(v json.RawMessage) tri { return nftAddr(v, f.dst) }
		}
	case "th", "tcp", "udp", "sctp", "icmp", "icmpv6", "igmp", "esp", "ah", "dccp", "udplite", "comp":
		if protocol != "th" && protocols[protocol] != f.proto || protocol == "th" && f.port == 0 {
			return no
		}
		if field == "dport" {
			is = func(v json.RawMessage) tri { return nftPort(v, f.port) }
		}
	}
	return anyOf(values, is)
}

func nftAddr(v json.RawMessage, a netip.Addr) tri {
	var s string
	var e struct {
		Prefix *struct {
			Addr string
			Len  int
		}
		Range []string
	}
	if json.Unmarshal(v, &s) == nil {
		if b, err := netip.ParseAddr(s); err == nil {
			return triOf(a == b)
		}
		return maybe
	}
	if json.Unmarshal(v, &e) != nil {
		return maybe
	}
	if e.Prefix != nil {
		if p, err := netip.ParsePrefix(e.Prefix.Addr + "/" + strconv.Itoa(e.Prefix.Len)); err == nil {
			return triOf(p.Contains(a))
		}
	}
	if len(e.Range) == 2 {
		from, err1 := netip.ParseAddr(e.Range[0])
		to, err2 := netip.ParseAddr(e.Range[1])
		if err1 == nil && err2 == nil {
			return triOf(!a.Less(from) && !to.Less(a))
		}
	}
	return maybe
}

func nftPort(v json.RawMessage, port uint16) tri {
	var number uint16
	var e struct{ Range []uint16 }
	if json.Unmarshal(v, &number) == nil {
		return triOf(number == port)
	}
	if json.Unmarshal(v, &e) == nil && len(e.Range) == 2 {
		return triOf(e.Range[0] <= port && port <= e.Range[1])
	}
	return maybe
}
