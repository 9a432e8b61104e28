package bgp

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/bgp/bfd"
)

// plan is a Config in the order in which gobgp takes it.
type plan struct {
	as        uint32
	routerID  netip.Addr
	restart   time.Duration
	neighbors map[netip.Addr]Neighbor
	exports   map[netip.Addr][]netip.Prefix // what each neighbor may hear, announced or not
	paths     map[netip.Prefix]Route        // what is announced
}

// newPlan sorts c out. A neighbor without routes is spoken to all the same: its
// session is up when the first address comes.
func newPlan(c Config) plan {
	p := plan{
		as: c.AS, routerID: c.RouterID, restart: c.Restart,
		neighbors: map[netip.Addr]Neighbor{}, exports: map[netip.Addr][]netip.Prefix{}, paths: map[netip.Prefix]Route{},
	}
	for _, n := range c.Neighbors {
		p.neighbors[n.Address] = n
	}
	for _, r := range c.Routes {
		for _, to := range r.To {
			p.exports[to] = append(p.exports[to], r.Prefix)
		}
		if r.Announced {
			p.paths[r.Prefix] = r
		}
	}
	for _, prefixes := range p.exports {
		slices.SortFunc(prefixes, netip.Prefix.Compare)
	}
	return p
}

// speaks reports whether there is somebody to speak to.
func (p plan) speaks() bool { return p.as != 0 && len(p.neighbors) > 0 }

// sameSpeaker reports whether q needs no new identity, which would end all sessions.
func (p plan) sameSpeaker(q plan) bool {
	return p.as == q.as && p.routerID == q.routerID && p.restart == q.restart
}

// lines are those to be watched.
func (p plan) lines() map[netip.Addr]bfd.Params {
	lines := map[netip.Addr]bfd.Params{}
	for a, n := range p.neighbors {
		if n.BFD != (BFD{}) {
			lines[a] = bfd.Params{Interval: n.BFD.Interval, Multiplier: n.BFD.Multiplier}
		}
	}
	return lines
}

// withdrawn is the plan with nothing announced.
func (p plan) withdrawn() plan {
	p.paths = nil
	return p
}

// changes lead from one plan to another of the same speaker. They are in the
// order in which they are to be made: what is no longer true is taken back
// first, and a new neighbor hears no route before all of them are known, since
// the first it hears after a restart replaces what it kept.
type changes struct {
	withdraw []netip.Prefix
	leave    []netip.Addr
	exports  bool
	announce []Route
	join     []Neighbor
}

func diff(have, want plan) changes {
	var c changes
	for _, prefix := range sorted(have.paths, netip.Prefix.Compare) {
		if _, stays := want.paths[prefix]; !stays {
			c.withdraw = append(c.withdraw, prefix)
		}
	}
	for _, prefix := range sorted(want.paths, netip.Prefix.Compare) {
		if old, stands := have.paths[prefix]; !stands || !old.sameAttributes(want.paths[prefix]) {
			c.announce = append(c.announce, want.paths[prefix])
		}
	}
	for _, a := range sorted(have.neighbors, netip.Addr.Compare) {
		if want.neighbors[a] != have.neighbors[a] {
			c.leave = append(c.leave, a)
		}
	}
	for _, a := range sorted(want.neighbors, netip.Addr.Compare) {
		if want.neighbors[a] != have.neighbors[a] {
			c.join = append(c.join, want.neighbors[a])
		}
	}
	c.exports = !maps.EqualFunc(have.exports, want.exports, slices.Equal)
	return c
}

// sameAttributes reports whether neighbors would see no difference.
func (r Route) sameAttributes(s Route) bool {
	return r.NextHop == s.NextHop && r.MED == s.MED && slices.Equal(r.Communities, s.Communities)
}

func sorted[K comparable, V any](m map[K]V, compare func(K, K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}
