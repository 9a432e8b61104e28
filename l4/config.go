package l4

import (
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
)

// A Config is what the operator wants, checked and complete.
type Config struct {
	// Timeouts are zero where the dataplane's own are to stay.
	Timeouts Timeouts
	Services []Service
	XDP      XDP
	Shield   Shield
	// Guard keeps what other directors balanced from being balanced again.
	Guard bool
	// Sync is what the sync daemons are told; the zero Daemon is no sync.
	Sync Daemon
}

// A Service is spread over Servers wherever this node owns one of Addrs.
type Service struct {
	// Name is the operator's; VIP is the group it takes its addresses from,
	// empty where it names an address itself.
	Name, VIP string
	// Addrs may be of both families; each is balanced over the servers of
	// its own.
	Addrs []netip.Addr
	// Mark, if not 0, selects packets by firewall mark in place of Protocol,
	// Addrs and Port. Addrs then say whose owner balances.
	Mark      uint32
	Port      uint16
	Protocol  Protocol
	Scheduler string
	// Flags are those of VirtualService.
	Flags   uint32
	Forward Forward
	Encap   Encap
	// Persistence is how long a client stays with its server, 0 is off.
	// Prefix4 and Prefix6 are the bits of an address that make a client, 0
	// for all.
	Persistence      time.Duration
	Prefix4, Prefix6 int
	// Drain is how long a server that leaves keeps its connections at most.
	Drain time.Duration
	// SlowStart is how long a server that came up takes to its whole weight.
	SlowStart time.Duration
	// Quorum is how many servers must be up; below it, AllDown says what
	// becomes of the service.
	Quorum  int
	AllDown AllDown
	// Sorry answers below the quorum, where AllDown is Sorry.
	Sorry   netip.AddrPort
	Servers []Server
	// From makes more of them, by Config.Resolve.
	From From
}

// AllDown is what becomes of a service with too few servers.
type AllDown uint8

// What may become of it.
const (
	Keep   AllDown = iota // those that fell last go on
	Reject                // clients are refused
	Sorry                 // a server of last resort answers
)

// A Server answers for a service.
type Server struct {
	// Name is the operator's for the machine, and may be empty. With a
	// Selector it is that of the Node which the server was made of.
	Name, Selector string
	Addr           netip.AddrPort
	// Weight is its share while it is up; 0 takes it out of service.
	Weight int
	// Upper and Lower are the thresholds of a Destination.
	Upper, Lower int
	Check        health.Check
}

// Keys returns the virtual services that s stands for, one an address, or
// with a mark one a family.
func (s Service) Keys() []Key {
	var keys []Key
	for _, a := range s.Addrs {
		k := Key{Protocol: s.Protocol, Addr: netip.AddrPortFrom(a, s.Port)}
		if s.Mark != 0 {
			k = MarkKey(s.Mark, a.Is6())
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// owned reports whether this node owns what k stands for.
func (s Service) owned(k Key, owned func(netip.Addr) bool) bool {
	if s.Mark == 0 {
		return owned(k.Addr.Addr())
	}
	return slices.ContainsFunc(s.Addrs, func(a netip.Addr) bool { return a.Is6() == k.Addr.Addr().Is6() && owned(a) })
}

// servers returns the servers of a virtual address's family. Where it has
// none, a tunnel reaches those of the other (ip_vs_ctl.c, ip_vs_add_dest).
func (s Service) servers(vip netip.Addr) []Server {
	other := func(r Server) bool { return r.Addr.Addr().Is4() != vip.Is4() }
	if !slices.ContainsFunc(s.Servers, other) {
		return s.Servers
	}
	same := slices.DeleteFunc(slices.Clone(s.Servers), other)
	if len(same) == 0 && s.Forward == Tunnel {
		return s.Servers
	}
	return same
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
