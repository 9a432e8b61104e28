package l4

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// schedulers are the kernel's (net/netfilter/ipvs/ip_vs_*.c).
var schedulers = []string{"mh", "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "fo", "ovf", "sed", "nq"}

// weightless are those that look at a weight only for whether it is 0.
var weightless = []string{"rr", "lc", "dh"}

// service parses one [[l4.service]] table.
func (p *parser) service(key string, s ServiceSection) Service {
	svc := Service{Name: s.Name, VIP: s.VIP}
	switch {
	case s.Name == "":
		p.fault(key+".name", "is missing: every service needs a name")
	case p.names[s.Name]:
		p.fault(key+".name", "%q is the name of an earlier service", s.Name)
	}
	p.names[s.Name] = true
	p.speakable(key+".name", s.Name)

	svc.Addrs = p.addrs(key, s)
	p.selects(key, s, &svc)
	svc.Scheduler = p.oneOf(key+".scheduler", s.Scheduler, "mh", schedulers...)
	p.persistence(key, s, &svc)
	svc.Flags |= p.flags(key, s, svc)
	p.forward(key, s, &svc)
	svc.Drain = p.optional(key+".drain", s.Drain, "60s", 24*time.Hour)

	for _, k := range svc.Keys() {
		if other, ok := p.keys[k]; ok && (svc.Port != 0 || svc.Mark != 0) {
			at := key + ".port"
			if svc.Mark != 0 {
				at = key + ".fwmark"
			}
			p.fault(at, "%s belongs to service %q already", k, other)
		}
		p.keys[k] = s.Name
	}
	p.servers(key, s, &svc)
	p.slowStart(key, s, &svc)
	p.quorum(key, s, &svc)
	return svc
}

// selects parses what the service takes: a protocol and port, or a mark.
func (p *parser) selects(key string, s ServiceSection, svc *Service) {
	if s.FWMark != 0 {
		if s.FWMark < 0 || s.FWMark > math.MaxUint32 {
			p.fault(key+".fwmark", "%d is not a firewall mark: allowed are 1 to %d", s.FWMark, uint32(math.MaxUint32))
		}
		svc.Mark = uint32(min(max(1, s.FWMark), math.MaxUint32))
		if s.Port != 0 {
			p.fault(key+".port", "stands beside fwmark: the rule that sets the mark chooses the ports")
		}
		if s.Protocol != "" {
			p.fault(key+".protocol", "stands beside fwmark: the rule that sets the mark chooses the protocols")
		}
		return
	}
	if s.Port < 1 || s.Port > 65535 {
		p.fault(key+".port", "%d is not a port: allowed are 1 to 65535", s.Port)
	} else {
		svc.Port = uint16(s.Port)
	}
	svc.Protocol = map[string]Protocol{"tcp": TCP, "udp": UDP, "sctp": SCTP}[p.oneOf(key+".protocol", s.Protocol, "tcp", "tcp", "udp", "sctp")]
}

// optional parses a duration that may be 0, which switches its subject off.
func (p *parser) optional(key, s, def string, high time.Duration) time.Duration {
	if s == "" {
		s = def
	}
	return p.seconds(key, s, 0, high)
}

func (p *parser) persistence(key string, s ServiceSection, svc *Service) {
	// The kernel's tools allow 31 days.
	svc.Persistence = p.optional(key+".persistence", s.Persistence, "0s", 31*24*time.Hour)
	svc.Prefix4 = p.prefix(key+".persistence_prefix4", s.Prefix4, 32, svc.Persistence)
	svc.Prefix6 = p.prefix(key+".persistence_prefix6", s.Prefix6, 128, svc.Persistence)
	if svc.Persistence > 0 {
		svc.Flags |= FlagPersistent
	}
}

// prefix returns 0 for a whole address.
func (p *parser) prefix(key string, n *int, bits int, persistence time.Duration) int {
	switch {
	case n == nil:
		return 0
	case persistence == 0:
		p.fault(key, "stands without persistence")
	case *n < 1 || *n > bits:
		p.fault(key, "%d is not the length of a prefix: allowed are 1 to %d", *n, bits)
	case *n < bits:
		return *n
	}
	return 0
}

// flags returns those of the scheduler and of one-packet scheduling.
func (p *parser) flags(key string, s ServiceSection, svc Service) (set uint32) {
	if s.OnePacket {
		set |= FlagOnePacket
		if svc.Mark == 0 && svc.Protocol != UDP {
			p.fault(key+".one_packet", "needs protocol = \"udp\": %s has connections", svc.Protocol)
		}
		if svc.Persistence > 0 {
			p.fault(key+".one_packet", "stands beside persistence, which keeps a client with its server")
		}
	}
	if s.Flags == nil {
		return set | usual(svc)
	}
	if !ordered(svc.Scheduler) {
		p.fault(key+".scheduler_flags", "stands with scheduler %q: only sh and mh have flags", svc.Scheduler)
		return set
	}
	for i, name := range s.Flags {
		set |= map[string]uint32{"fallback": FlagFallback, "port": FlagPort}[p.oneOf(fmt.Sprintf("%s.scheduler_flags[%d]", key, i), name, "", "fallback", "port")]
	}
	if set&FlagPort != 0 && svc.Persistence > 0 {
		p.fault(key+".scheduler_flags", "\"port\" stands beside persistence: which server a client stays with would hang on the port of its first connection")
	}
	return set
}

// usual returns the flags under which a scheduler does what its users expect.
func usual(s Service) uint32 {
	switch {
	case s.Scheduler == "mh" && s.Persistence == 0:
		// With the port, so that the many clients behind one NAT address are
		// spread. With fallback: a server at weight 0 keeps its rows, and
		// the clients that hit them would be refused.
		return FlagFallback | FlagPort
	case ordered(s.Scheduler):
		// Without the port: whoever chooses sh, or persistence, wants a client
		// to stay with its server, also at the next owner, which knows nobody
		// yet. Fallback for the same reason as above.
		return FlagFallback
	}
	return 0
}

func (p *parser) forward(key string, s ServiceSection, svc *Service) {
	word := p.oneOf(key+".forward", s.Forward, "dr", "dr", "tunnel", "nat")
	svc.Forward = map[string]Forward{"dr": DirectRoute, "tunnel": Tunnel, "nat": Masquerade}[word]
	if svc.Forward != Tunnel {
		for name, stands := range map[string]bool{"tunnel": s.Tunnel != "", "tunnel_port": s.TunnelPort != nil, "tunnel_checksum": s.TunnelChecksum != ""} {
			if stands {
				p.fault(key+"."+name, "stands without forward = \"tunnel\"")
			}
		}
		return
	}
	e := &svc.Encap
	e.Type = map[string]EncapType{"ipip": IPIP, "gue": GUE, "gre": GRE}[p.oneOf(key+".tunnel", s.Tunnel, "ipip", "ipip", "gue", "gre")]
	switch {
	case e.Type == GUE:
		e.Port = 6080 // IANA's
		if s.TunnelPort != nil {
			e.Port = uint16(*s.TunnelPort)
		}
		if s.TunnelPort != nil && (*s.TunnelPort < 1 || *s.TunnelPort > 65535) {
			p.fault(key+".tunnel_port", "%d is not a port: allowed are 1 to 65535", *s.TunnelPort)
		}
	case s.TunnelPort != nil:
		p.fault(key+".tunnel_port", "stands without tunnel = \"gue\", which alone has a port")
	}
	e.Checksum = map[string]Checksum{"none": NoChecksum, "full": FullChecksum, "remote": RemoteChecksum}[p.oneOf(key+".tunnel_checksum", s.TunnelChecksum, "none", "none", "full", "remote")]
	if e.Type == IPIP && e.Checksum != NoChecksum || e.Type == GRE && e.Checksum == RemoteChecksum {
		p.fault(key+".tunnel_checksum", "%q is not possible with this tunnel: ipip has none, gre \"full\", gue all", s.TunnelChecksum)
	}
}

// slowStart comes after the servers, whose weights it needs.
func (p *parser) slowStart(key string, s ServiceSection, svc *Service) {
	svc.SlowStart = p.optional(key+".slow_start", s.SlowStart, "0s", time.Hour)
	weighty := svc.From.Weight > 1 || slices.ContainsFunc(svc.Servers, func(r Server) bool { return r.Weight > 1 })
	switch {
	case svc.SlowStart == 0:
	case ordered(svc.Scheduler):
		p.fault(key+".slow_start", "is not possible with %s: every step would give clients another server, use wrr or wlc", svc.Scheduler)
	case slices.Contains(weightless, svc.Scheduler):
		p.fault(key+".slow_start", "has no effect with scheduler %q, which does not look at weights: use wrr or wlc", svc.Scheduler)
	case !weighty:
		p.fault(key+".slow_start", "has no effect on weights of 1: give the servers weight = 100")
	}
}

// quorum parses what happens below it. It comes after the servers.
func (p *parser) quorum(key string, s ServiceSection, svc *Service) {
	def := "keep"
	if s.Sorry != "" {
		def = "sorry"
	}
	svc.AllDown = map[string]AllDown{"keep": Keep, "reject": Reject, "sorry": Sorry}[p.oneOf(key+".all_down", s.AllDown, def, "keep", "reject", "sorry")]
	svc.Quorum = 1
	if s.Quorum != nil {
		svc.Quorum = *s.Quorum
	}
	switch {
	case svc.Quorum < 1 && s.ServersFrom != nil:
		p.fault(key+".quorum", "%d is out of range: allowed are 1 and more", svc.Quorum)
	case svc.Quorum < 1 || svc.Quorum > max(1, len(s.Servers)) && s.ServersFrom == nil:
		p.fault(key+".quorum", "%d is out of range: allowed are 1 to %d, the number of servers", svc.Quorum, max(1, len(s.Servers)))
	case svc.Quorum > 1 && svc.AllDown == Keep:
		p.fault(key+".quorum", "%d has no effect: say by all_down = \"reject\" or by sorry what is to happen below it", svc.Quorum)
	}
	switch {
	case svc.AllDown == Sorry && s.Sorry == "":
		p.fault(key+".sorry", "is missing: write the ADDRESS:PORT that answers while too few servers are up")
	case svc.AllDown == Sorry:
		p.sorry(key+".sorry", s.Sorry, svc)
	case s.Sorry != "":
		p.fault(key+".sorry", "stands beside all_down = %q", s.AllDown)
	}
}

func (p *parser) sorry(key, text string, svc *Service) {
	addr, err := netip.ParseAddrPort(text)
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if err != nil || addr.Addr().Zone() != "" {
		p.fault(key, `%q is not an address and port: write one like "192.0.2.9:80"`, text)
		return
	}
	if svc.Forward != Masquerade && svc.Mark == 0 && svc.Port != 0 && addr.Port() != svc.Port {
		p.fault(key, "%s has another port than the service: only forward = \"nat\" can change it", addr)
	}
	for _, a := range svc.Addrs {
		if a == addr.Addr() {
			p.fault(key, "%s is the service's own address: write the server's", a)
		}
		if a.Is4() != addr.Addr().Is4() && svc.Forward != Tunnel {
			p.fault(key, `%s cannot answer for %s: give the service the other address by address = "..."`, addr.Addr(), a)
		}
	}
	for _, r := range svc.Servers {
		if r.Addr == addr {
			p.fault(key, "%s is a server of this service", addr)
		}
	}
	if svc.Mark != 0 {
		addr = netip.AddrPortFrom(addr.Addr(), 0)
	}
	svc.Sorry = addr
}
