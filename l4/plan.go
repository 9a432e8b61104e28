package l4

import (
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/health"
)

// Plan says what the dataplane should hold: the services of the addresses
// this node owns, each with all its servers, in ascending order of address.
//
// Every node that owns the address in turn must come to the same choice for
// the same client, or a change of owner would break connections. So a plan
// is a function of the configuration and of health alone: a server that
// fails keeps its place with weight 0, and Base does not follow its health.
//
// have, what the dataplane holds, is asked in two cases only, where the best
// answer is what served until now: nothing is known about a server yet, and
// no server at all is up.
func Plan(cfg Config, h *health.Snapshot, owned func(netip.Addr) bool, have State) State {
	want := State{Timeouts: cfg.Timeouts, Sysctls: sysctls(cfg)}
	for _, s := range cfg.Services {
		for _, key := range s.Keys() {
			// A node that held the service of an address it does not own
			// would balance packets again that the owner sent to it.
			if owned(key.Addr.Addr()) {
				want.Services = append(want.Services, planService(s, key, h, have.Find(key)))
			}
		}
	}
	return want
}

func sysctls(cfg Config) map[string]int {
	if len(cfg.Services) == 0 {
		return nil
	}
	// Connections to a server that was removed end at once instead of
	// vanishing until they time out.
	set := map[string]int{expireNodest: 1}
	for _, s := range cfg.Services {
		// What makes a connection survive a change of owner: its next packet
		// is no SYN, and the new owner must choose a server for it all the
		// same. Right only where that choice is the one the old owner made.
		if s.Protocol == TCP && ordered(s.Scheduler) {
			set[sloppyTCP] = 1
		}
	}
	return set
}

func planService(s Service, key Key, h *health.Snapshot, have *VirtualService) VirtualService {
	v := VirtualService{Key: key, Scheduler: s.Scheduler, Flags: s.Flags}
	for _, server := range s.servers(key.Addr.Addr()) {
		d := Destination{Addr: server.Addr, Forward: DirectRoute}
		if s.Scheduler == "mh" {
			// A server that is configured with weight 0 has rows as well:
			// which it has must not depend on when it was set to 0.
			d.Base = max(1, server.Weight)
		}
		v.Destinations = append(v.Destinations, d)
	}
	slices.SortFunc(v.Destinations, func(a, b Destination) int { return a.Addr.Compare(b.Addr) })

	weights := weigh(s.servers(key.Addr.Addr()), h, have)
	for i := range v.Destinations {
		v.Destinations[i].Weight = weights[v.Destinations[i].Addr]
	}
	return v
}

// weigh returns the weight of each server.
//
// Up is the configured weight, down is 0. Not known yet is 0 as well, except
// for a server that has a weight in the dataplane: a daemon that starts again
// must not take servers away that served until now.
//
// If that leaves nobody, whoever had a weight last keeps it, since the checks
// may be what is broken, and refusing every client is worse than trying. A
// node that takes over in this state holds no last set: it tries all.
func weigh(servers []Server, h *health.Snapshot, have *VirtualService) map[netip.AddrPort]int {
	weights := make(map[netip.AddrPort]int, len(servers))
	last := make(map[netip.AddrPort]int, len(servers))
	all := make(map[netip.AddrPort]int, len(servers))
	known := true
	for _, server := range servers {
		state := h.State(server.Check)
		known = known && state.Known
		all[server.Addr] = server.Weight
		d := have.Find(server.Addr)
		served := d != nil && d.Weight > 0
		if served {
			last[server.Addr] = server.Weight
		}
		if state.Up || !state.Known && served {
			weights[server.Addr] = server.Weight
		}
	}
	switch {
	case sum(weights) > 0:
		return weights
	case sum(last) > 0:
		return last
	case known:
		return all
	}
	return weights
}

func sum(weights map[netip.AddrPort]int) (n int) {
	for _, w := range weights {
		n += w
	}
	return n
}
