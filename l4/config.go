package l4

import (
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/health"
)

// A Config is what the operator wants, checked and complete.
type Config struct {
	// Timeouts are zero where the dataplane's own are to stay.
	Timeouts Timeouts
	Services []Service
}

// A Service is spread over Servers wherever this node owns one of Addrs.
type Service struct {
	// Name is the operator's; VIP is the group it takes its addresses from,
	// empty where it names an address itself.
	Name, VIP string
	// Addrs may be of both families; each is balanced over the servers of
	// its own.
	Addrs     []netip.Addr
	Port      uint16
	Protocol  Protocol
	Scheduler string
	// Flags are FlagFallback and FlagPort, as they suit the scheduler.
	Flags   uint32
	Servers []Server
}

// A Server answers for a service.
type Server struct {
	Addr netip.AddrPort
	// Weight is its share while it is up; 0 takes it out of service.
	Weight int
	Check  health.Check
}

// Keys returns the virtual services that s stands for, one an address.
func (s Service) Keys() []Key {
	keys := make([]Key, len(s.Addrs))
	for i, a := range s.Addrs {
		keys[i] = Key{Protocol: s.Protocol, Addr: netip.AddrPortFrom(a, s.Port)}
	}
	return keys
}

// servers returns the servers of a virtual address's family.
func (s Service) servers(vip netip.Addr) []Server {
	return slices.DeleteFunc(slices.Clone(s.Servers), func(r Server) bool { return r.Addr.Addr().Is4() != vip.Is4() })
}

// Checks returns the check of every server, equal ones more than once.
func (c Config) Checks() []health.Check {
	var checks []health.Check
	for _, s := range c.Services {
		for _, r := range s.Servers {
			checks = append(checks, r.Check)
		}
	}
	return checks
}
