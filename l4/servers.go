package l4

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/health"
)

// servers parses the [[l4.service.server]] tables of one service.
func (p *parser) servers(key string, s ServiceSection, svc *Service) {
	check := p.check(key, s, svc.Protocol)
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
	p.families(key, s, *svc)
}

// check parses the service's [l4.service.check]. Where there is none a server
// is up while it accepts connections on the service's port.
func (p *parser) check(key string, s ServiceSection, protocol Protocol) health.Template {
	if s.Check != nil {
		return health.Parse(*s.Check, key+".check", p.bad)
	}
	unchecked := slices.ContainsFunc(s.Servers, func(r ServerSection) bool { return r.Check == nil })
	if protocol == UDP && unchecked {
		p.fault(key+".check", "is missing: a udp port cannot be asked, name a tcp or http port that tells whether the server works")
	}
	return health.Parse(health.Section{}, key+".check", p.bad)
}

func (p *parser) server(key string, s ServerSection, svc *Service, check health.Template) (Server, bool) {
	addr, ok := p.serverAddr(key+".address", s.Address, svc)
	// Direct routing changes the frame and leaves the packet, port included,
	// as it came.
	if s.Port != nil && svc.Port != 0 && *s.Port != int(svc.Port) {
		p.fault(key+".port", "%d differs from the service's port %d: direct routing cannot change a port, leave this key out", *s.Port, svc.Port)
	}
	if s.Check != nil {
		check = health.Parse(*s.Check, key+".check", p.bad)
	}
	weight := 1
	if s.Weight != nil {
		weight = *s.Weight
	}
	if weight < 0 || weight > maxWeight {
		p.fault(key+".weight", "%d is out of range: allowed are 0 to %d", weight, maxWeight)
	}
	return Server{
		Addr:   netip.AddrPortFrom(addr, svc.Port),
		Weight: weight,
		Check:  check.For(addr, svc.Port, svc.Addrs...),
	}, ok
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
		p.fault(key+".server", "is missing: a service needs at least one server")
		return
	}
	if len(svc.Servers) != len(s.Servers) || len(svc.Addrs) == 0 {
		return // faulted above
	}
	for i, r := range svc.Servers {
		if !slices.ContainsFunc(svc.Addrs, func(a netip.Addr) bool { return a.Is4() == r.Addr.Addr().Is4() }) {
			p.fault(fmt.Sprintf("%s.server[%d].address", key, i), "%s would never be used: the service has no %s address", r.Addr.Addr(), family(r.Addr.Addr()))
		}
	}
	for _, a := range svc.Addrs {
		if len(svc.servers(a)) == 0 {
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
