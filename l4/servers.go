package l4

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/portico-lb/portico/health"
)

// servers parses the [[l4.service.server]] tables of one service.
func (p *parser) servers(key string, s ServiceSection, svc *Service) {
	check := p.check(key, s, *svc)
	for i, section := range s.Servers {
		skey := fmt.Sprintf("%s.server[%d]", key, i)
		server, ok := p.server(skey, section, svc, check)
		if !ok {
			continue
		}
		if slices.ContainsFunc(svc.Servers, func(o Server) bool { return o.Addr == server.Addr }) {
			p.fault(skey+".address", "%s is an earlier server of this service", server.Addr.Addr())
			continue
		}
		svc.Servers = append(svc.Servers, server)
	}
	if s.ServersFrom != nil {
		svc.From = p.from(key+".servers_from", *s.ServersFrom, svc, check)
	}
	p.families(key, s, *svc)
}

// check parses the service's [l4.service.check]. Where there is none a server
// is up while it accepts connections on the service's port.
func (p *parser) check(key string, s ServiceSection, svc Service) health.Template {
	if s.Check != nil {
		return p.template(key+".check", *s.Check, svc)
	}
	unchecked := s.ServersFrom != nil || slices.ContainsFunc(s.Servers, func(r ServerSection) bool { return r.Check == nil })
	switch {
	case !unchecked:
	case svc.Mark != 0:
		p.fault(key+".check", "is missing: a mark has no port to ask, name one that tells whether the server works")
	case svc.Protocol != TCP:
		p.fault(key+".check", "is missing: a %s port cannot be asked, name a tcp or http port that tells whether the server works", svc.Protocol)
	}
	return health.Parse(health.Section{}, key+".check", p.bad)
}

// template parses a check and holds it against what the service is.
func (p *parser) template(key string, s health.Section, svc Service) health.Template {
	t := health.Parse(s, key, p.bad)
	portless := slices.Contains([]health.Kind{health.Ping, health.Exec}, t.Kind())
	if svc.Mark != 0 && s.Port == nil && !portless {
		p.fault(key+".port", "is missing: a mark has no port to ask")
	}
	if t.Kind() == health.DRPath && (svc.Forward != DirectRoute || svc.Mark != 0) {
		p.fault(key+".kind", "\"drpath\" asks for the path of direct routing, which this service does not use")
	}
	switch {
	case !t.Weighs():
	case ordered(svc.Scheduler):
		p.fault(key+".weight_from", "stands beside scheduler %q: with every change clients would get another server, use wrr or wlc", svc.Scheduler)
	case slices.Contains(weightless, svc.Scheduler):
		p.fault(key+".weight_from", "has no effect with scheduler %q, which does not look at weights: use wrr or wlc", svc.Scheduler)
	}
	return t
}

func (p *parser) server(key string, s ServerSection, svc *Service, check health.Template) (Server, bool) {
	addr, ok := p.serverAddr(key+".address", s.Address, svc)
	p.speakable(key+".name", s.Name)
	if s.Check != nil {
		check = p.template(key+".check", *s.Check, *svc)
	}
	weight := p.weight(key+".weight", s.Weight, check)
	switch {
	case s.Upper < 0 || s.Upper > math.MaxInt32:
		p.fault(key+".upper_threshold", "%d is out of range: allowed are 0 to %d", s.Upper, math.MaxInt32)
	case s.Lower < 0 || s.Lower > s.Upper:
		p.fault(key+".lower_threshold", "%d is out of range: allowed are 0 to upper_threshold", s.Lower)
	}
	port := p.serverPort(key+".port", s.Port, svc)
	return Server{
		Name:   s.Name,
		Addr:   netip.AddrPortFrom(addr, port),
		Weight: weight,
		Upper:  s.Upper,
		Lower:  s.Lower,
		Check:  check.For(addr, port, svc.Addrs...),
	}, ok
}

// speakable faults a name that a drain could not tell: its target is
// SERVICE/SERVER, and ends at a blank.
func (p *parser) speakable(key, name string) {
	if strings.ContainsFunc(name, func(c rune) bool { return c == '/' || unicode.IsSpace(c) }) {
		p.fault(key, "%q has a blank or a slash in it", name)
	}
}

// weight returns 1 where none is given.
func (p *parser) weight(key string, n *int, check health.Template) int {
	weight := 1
	if n != nil {
		weight = *n
	}
	if weight < 0 || weight > maxWeight {
		p.fault(key, "%d is out of range: allowed are 0 to %d", weight, maxWeight)
	}
	if weight == 1 && check.Weighs() {
		p.fault(key, "weight_from of its check has no effect on a weight of 1: write 100")
	}
	return weight
}

// serverPort returns the port that the server listens on. Only NAT can make it
// another than the service's: direct routing changes the frame and a tunnel
// wraps the packet, and both leave it as it came.
func (p *parser) serverPort(key string, port *int, svc *Service) uint16 {
	switch {
	case port == nil:
		return svc.Port
	case *port < 1 || *port > 65535:
		p.fault(key, "%d is not a port: allowed are 1 to 65535", *port)
	case svc.Forward == Masquerade:
		return uint16(*port)
	case svc.Mark != 0:
		p.fault(key, "stands in a service by fwmark: only forward = \"nat\" can change a port, leave this key out")
	case svc.Port != 0 && *port != int(svc.Port):
		p.fault(key, "%d differs from the service's port %d: only forward = \"nat\" can change a port, leave this key out", *port, svc.Port)
	}
	return svc.Port
}

func (p *parser) serverAddr(key, s string, svc *Service) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	addr = addr.Unmap()
	switch {
	case s == "":
		p.fault(key, "is missing: every server needs an address")
	case err != nil || addr.Zone() != "":
		p.fault(key, "%q is not an address", s)
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLoopback(), addr.IsLinkLocalUnicast():
		p.fault(key, "%s is no address of a server on this network", addr)
	case slices.Contains(svc.Addrs, addr):
		p.fault(key, "%s is the service's own address: write the server's", addr)
	default:
		return addr, true
	}
	return addr, false
}

// families faults a family that stands on one side alone: its address would
// have nobody to send to, or its server would never be used.
func (p *parser) families(key string, s ServiceSection, svc Service) {
	if len(s.Servers) == 0 {
		if s.ServersFrom == nil {
			p.fault(key+".server", "is missing: a service needs at least one server, or servers_from")
		}
		return
	}
	if len(svc.Servers) != len(s.Servers) || len(svc.Addrs) == 0 {
		return // faulted above
	}
	for i, r := range svc.Servers {
		if !slices.ContainsFunc(svc.Addrs, func(a netip.Addr) bool { return slices.Contains(svc.servers(a), r) }) {
			p.fault(fmt.Sprintf("%s.server[%d].address", key, i), "%s would never be used: the service has no %s address", r.Addr.Addr(), family(r.Addr.Addr()))
		}
	}
	for _, a := range svc.Addrs {
		if len(svc.servers(a)) == 0 && s.ServersFrom == nil {
			p.fault(key+".server", `no server is for %s: add an %s server, or give the service the other address by address = "..."`, a, family(a))
		}
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
