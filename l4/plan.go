package l4

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
)

// Inputs are what a plan follows beside the configuration.
type Inputs struct {
	Now    time.Time
	Health *health.Snapshot
	// Owned reports whether an address is this node's to balance.
	Owned func(netip.Addr) bool
	// Removed are the services that were programmed, are not configured any
	// more and still belong here; each has what it drains by, and no servers.
	Removed map[Key]Service
	// Leaving are the servers that drain, from Leaving.
	Leaving map[ServerKey]time.Time
	// Drains are what the operator has taken out of service.
	Drains Drains
	// Have is what the dataplane holds. It is asked in two cases only, where
	// the best answer is what served until now: nothing is known about a
	// server yet, and a slow start that began before.
	Have State
}

// A ServerKey is a server within a virtual service.
type ServerKey struct {
	Service Key
	Server  netip.AddrPort
}

// Plan says what the dataplane should hold: the services of the addresses
// this node owns, each with all its servers, in ascending order of address,
// and those that left the configuration while servers of theirs drain.
//
// Every node that owns the address in turn must come to the same choice for
// the same client, or a change of owner would break connections. So a plan
// is a function of the configuration and of health alone: a server that
// fails keeps its place with weight 0, and Base does not follow its health.
// One that left the configuration and drains stands on this node alone, which
// has its connections; it costs the clients that came meanwhile their server
// if the owner changes.
func Plan(cfg Config, in Inputs) State {
	want := State{Timeouts: cfg.Timeouts, Sysctls: sysctls(cfg)}
	have := in.Have.byKey()
	for _, s := range cfg.Services {
		for _, key := range s.Keys() {
			// A node that held the service of an address it does not own
			// would balance packets again that the owner sent to it.
			if s.owned(key, in.Owned) {
				want.Services = append(want.Services, planService(s, key, have[key], in))
			}
		}
	}
	for _, key := range byCompare(in.Removed) {
		if v, ok := planRemoved(have[key], in.Leaving); ok {
			want.Services = append(want.Services, v)
		}
	}
	planSync(&want, cfg, in.Owned)
	return want
}

// Settings of IPVS that follow the services.
const (
	expireTemplate = "expire_quiescent_template"
	sloppySCTP     = "sloppy_sctp"
)

func sysctls(cfg Config) map[string]int {
	if len(cfg.Services) == 0 {
		return nil
	}
	// Connections to a server that was removed end at once instead of
	// vanishing until they time out.
	set := map[string]int{expireNodest: 1}
	for _, s := range cfg.Services {
		// What makes a connection survive a change of owner: its next packet
		// opens none, and the new owner must choose a server for it all the
		// same. Right only where that choice is the one the old owner made.
		if ordered(s.Scheduler) {
			switch {
			case s.Mark != 0 || s.Protocol == TCP:
				set[sloppyTCP] = 1
			case s.Protocol == SCTP:
				set[sloppySCTP] = 1
			}
		}
		// A client that stays with its server would otherwise stay with one
		// at weight 0, and be sent there for as long as it tries.
		if s.Persistence > 0 {
			set[expireTemplate] = 1
		}
	}
	return set
}

func planService(s Service, key Key, have *VirtualService, in Inputs) VirtualService {
	v := VirtualService{Key: key, Scheduler: s.Scheduler, Flags: s.Flags, Persistence: s.Persistence, Prefix: s.Prefix4}
	if key.Addr.Addr().Is6() {
		v.Prefix = s.Prefix6
	}
	servers := s.servers(key.Addr.Addr())
	weights, sorry := s.weigh(have, servers, in)
	v.Destinations = make([]Destination, 0, len(servers)+1)
	for i, server := range servers {
		d := Destination{
			Addr: server.Addr, Forward: s.Forward, Encap: s.Encap,
			Upper: server.Upper, Lower: server.Lower, Weight: weights[i],
		}
		if s.Scheduler == "mh" {
			// A server that is configured with weight 0 has rows as well:
			// which it has must not depend on when it was set to 0.
			d.Base = max(1, server.Weight)
		}
		v.Destinations = append(v.Destinations, d)
	}
	if sorry {
		v.Destinations = append(v.Destinations, Destination{Addr: s.Sorry, Forward: s.Forward, Encap: s.Encap, Weight: 1})
	}
	for _, d := range have.draining(in.Leaving) {
		if v.Find(d.Addr) == nil {
			v.Destinations = append(v.Destinations, d)
		}
	}
	slices.SortFunc(v.Destinations, func(a, b Destination) int {
		// The sorry server comes and goes: before all others it moves nobody.
		if (a.Addr == s.Sorry) != (b.Addr == s.Sorry) {
			if a.Addr == s.Sorry {
				return -1
			}
			return 1
		}
		return a.Addr.Compare(b.Addr)
	})
	return v
}

// Leaving returns the servers that left the configuration, by themselves or
// with their service, and keep their connections for a while, each with the
// time at which it goes in any case. draining is what the call before
// returned, and last the latest state that was wanted: what stands in one of
// our services and was not wanted in it, and is no draining server of before,
// was put there by another tool. A service that last does not have was
// programmed by a process before this one.
func Leaving(cfg Config, in Inputs, last State, draining map[ServerKey]time.Time) map[ServerKey]time.Time {
	leaving := map[ServerKey]time.Time{}
	stands, wanted := in.Have.byKey(), last.byKey()
	leave := func(s Service, key Key, servers []Server) {
		h, before := stands[key], wanted[key]
		if h == nil {
			return
		}
		for _, d := range h.Destinations {
			k := ServerKey{key, d.Addr}
			until, known := draining[k]
			ours := known || before == nil || before.Find(d.Addr) != nil
			if !ours || slices.ContainsFunc(servers, func(r Server) bool { return r.Addr == d.Addr }) {
				continue
			}
			if !known {
				until = in.Now.Add(s.Drain)
			}
			if !drained(s, d, in.Now.Sub(until.Add(-s.Drain))) && in.Now.Before(until) {
				leaving[k] = until
			}
		}
	}
	for _, s := range cfg.Services {
		for _, key := range s.Keys() {
			leave(s, key, s.servers(key.Addr.Addr()))
		}
	}
	for key, s := range in.Removed {
		leave(s, key, nil)
	}
	return leaving
}

// stay takes from those that leave who is wanted with a weight: a sorry server
// that answers stands in no configuration's list. Its time begins when it is
// needed no more.
func (in Inputs) stay(want State) {
	services := want.byKey()
	maps.DeleteFunc(in.Leaving, func(k ServerKey, _ time.Time) bool {
		d := services[k.Service].Find(k.Server)
		return d != nil && d.Weight > 0
	})
}

// settle is how long a server at weight 0 is watched before it counts as
// drained: a connection that opened in the last moment is not yet established.
const settle = 2 * time.Second

// drained reports whether a destination that left for that long has nobody.
func drained(s Service, d Destination, left time.Duration) bool {
	return s.busy(d) == 0 && d.Weight == 0 && left >= settle
}

// busy counts what a drain waits for. Inactive connections of TCP and SCTP
// are closing; those of UDP know no close.
func (s Service) busy(d Destination) int {
	n := d.Active + d.Persistent
	if s.Mark != 0 || s.Protocol == UDP {
		n += d.Inactive
	}
	return n
}
