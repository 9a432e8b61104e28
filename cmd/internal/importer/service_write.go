package importer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// write makes a service for one target.
func (s *serviceReader) write(t target) {
	k := s.k
	name := fmt.Sprintf("%s-%d", s.protocol, t.port)
	if t.mark != 0 {
		name = fmt.Sprintf("fwmark-%d", t.mark)
	}
	table := k.doc.table("[[l4.service]]", t.at)
	for _, n := range s.notes {
		k.doc.note(table, n.Kind, n.At, "%s", n.Text)
	}
	s.notes = nil // once is enough
	table.set(t.at, "name", k.free(name))
	k.place(table, t)
	if t.mark == 0 {
		table.set(t.at, "protocol", s.protocol)
	}
	if !slices.ContainsFunc(s.keys, func(key key) bool { return key.name == "scheduler" }) {
		table.set(t.at, "scheduler", s.scheduler)
	}
	if !slices.ContainsFunc(s.keys, func(key key) bool { return key.name == "forward" }) {
		table.set(t.at, "forward", s.forward)
		k.doc.note(table, Changed, t.at, "lb_kind NAT is keepalived's default; write \"dr\" where the servers are edge nodes")
	}
	for _, key := range s.keys {
		if key.name == "scheduler" && key.value != quote(s.scheduler) {
			continue // an earlier of two
		}
		table.set(key.at, key.name, raw(key.value))
	}
	s.writeFlags(table)
	s.writeQuorum(table, t)
	common := s.commonCheck()
	switch {
	case common != nil:
		common.write(k.doc, k.doc.table("[l4.service.check]", common.at), t.port)
	case t.mark != 0 || s.protocol != "tcp":
		s.writePing(t)
	default:
		k.doc.note(table, Changed, t.at, "nothing checks these servers in the source, which has them up always: here one is up while it accepts connections")
	}
	s.writeServers(table, t, common)
	if s.forward == "dr" {
		k.direct(table, t)
	}
}

func (s *serviceReader) writeFlags(t *table) {
	if s.scheduler != "mh" && s.scheduler != "sh" {
		return
	}
	flags := slices.Compact(slices.Sorted(slices.Values(s.flags)))
	if s.persist {
		flags = slices.DeleteFunc(flags, func(f string) bool { return f == "port" })
	}
	if s.scheduler == "mh" && !slices.Contains(flags, "fallback") {
		if len(flags) > 0 {
			s.k.doc.note(t, Wrong, s.flagsAt, "mh without mh-fallback refuses the clients of a server with weight 0: it is put in")
			flags = append(flags, "fallback")
		}
	}
	if len(flags) > 0 {
		t.set(s.flagsAt, "scheduler_flags", flags)
	}
}

// writeQuorum: keepalived counts weights, and without a sorry server takes
// the whole service away below the quorum.
func (s *serviceReader) writeQuorum(table *table, t target) {
	var q int
	if s.quorum.name != "" {
		q, _ = strconv.Atoi(s.quorum.value)
	}
	if q > len(s.servers) {
		s.k.doc.note(table, Changed, s.quorum.at, "quorum %d counts weights in the source, and servers here: %d is put in its place", q, max(1, len(s.servers)))
		q = len(s.servers)
	}
	if s.sorry.name != "" {
		port, _ := strconv.Atoi(s.sorry.value)
		if port == 0 || s.forward != "nat" {
			if port != 0 && port != t.port && t.mark == 0 {
				s.k.doc.note(table, Wrong, s.sorry.at, "the sorry server is asked at port %d: only NAT changes ports", t.port)
			}
			port = max(t.port, min(port, 65535)*map[bool]int{true: 1}[t.mark != 0])
		}
		table.set(s.sorry.at, "sorry", netip.AddrPortFrom(s.sorryAddr, uint16(port)).String())
	}
	if q > 1 {
		table.set(s.quorum.at, "quorum", q)
		if s.sorry.name == "" {
			table.set(s.quorum.at, "all_down", "reject")
		}
	} else if s.sorry.name == "" {
		s.k.doc.note(table, Changed, table.at, "when all servers fail, those that fell last stay: all_down = \"reject\" refuses clients, as keepalived does")
	}
}

// commonCheck is the check that most servers have.
func (s *serviceReader) commonCheck() *check {
	count := map[string]int{}
	var best *check
	for _, r := range s.servers {
		if r.check == nil {
			continue
		}
		text := r.check.text()
		if count[text]++; best == nil || count[text] > count[best.text()] {
			best = r.check
		}
	}
	return best
}

// writePing: what cannot be asked by a connection is asked by an echo.
func (s *serviceReader) writePing(t target) {
	c := s.k.doc.table("[l4.service.check]", t.at)
	c.set(t.at, "kind", "ping")
	s.k.doc.note(c, Todo, t.at, "nothing checks these servers in the source: an echo is asked for, name what tells whether the service works")
}

func (s *serviceReader) writeServers(table *table, t target, common *check) {
	seen := map[netip.AddrPort]bool{}
	for _, r := range s.servers {
		port := r.port
		if s.forward != "nat" && port != 0 && port != t.port && t.mark == 0 {
			s.k.doc.note(table, Wrong, r.at, "real_server %s %d: only NAT changes ports, so that clients reach its port %d", r.addr, port, t.port)
		}
		if s.forward != "nat" || port == t.port {
			port = 0
		}
		id := netip.AddrPortFrom(r.addr, uint16(port))
		if seen[id] {
			s.k.doc.note(table, Wrong, r.at, "real_server %s stands here twice", r.addr)
			continue
		}
		seen[id] = true
		st := s.k.doc.table("[[l4.service.server]]", r.at)
		st.set(r.at, "address", r.addr.String())
		if port != 0 {
			st.set(r.at, "port", port)
		}
		st.set(r.at, "weight", r.weight)
		if r.upper > 0 {
			st.set(r.at, "upper_threshold", r.upper)
		}
		if r.lower > 0 {
			st.set(r.at, "lower_threshold", r.lower)
		}
		if r.check != nil && r.check.text() != common.text() {
			r.check.write(s.k.doc, s.k.doc.table("[l4.service.server.check]", r.check.at), t.port)
		}
		if r.check == nil && common != nil {
			s.k.doc.note(st, Changed, r.at, "nothing checks %s in the source: the service's check does here", r.addr)
		}
	}
}
