package vip

import (
	"fmt"
	"maps"
	"sync"

	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// syncGroup keeps the groups of one sync_group together: all Active here, or
// all Backup. Each member's router decides and tells; the syncGroup draws the
// conclusion and rings the others, who obey. A router that has not yet obeyed
// has no say, so that an order cannot cross its own consequence.
type syncGroup struct {
	name string

	mu      sync.Mutex
	active  bool   // what the members are to be
	epoch   uint64 // of that order
	members map[*router]member
}

// member is what a router tells of itself.
type member struct {
	state   vrrp.State
	ready   bool          // would be Active if it were alone
	own     track.Verdict // without what the others add
	obeyed  uint64        // epoch of the latest order carried out
	present bool          // it has told something
}

func newSyncGroup(name string) *syncGroup {
	return &syncGroup{name: name, members: map[*router]member{}}
}

// keep drops members that are not routers of rs.
func (s *syncGroup) keep(rs map[*router]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.members, func(r *router, _ member) bool { return !rs[r] })
	for r := range rs {
		if _, known := s.members[r]; !known {
			s.members[r] = member{}
		}
		ring(r.inputs)
	}
}

// tell replaces what is known of r, and rings the others where that matters.
func (s *syncGroup) tell(r *router, m member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.members[r]
	if !known {
		return // it left
	}
	m.present = true
	s.members[r] = m
	active := conclude(s.active, s.epoch, s.members)
	if active != s.active {
		s.active = active
		s.epoch++
	} else if old.own == m.own {
		return
	}
	for other := range s.members {
		ring(other.inputs)
	}
}

// leave takes r out: it stops, and the others go on.
func (s *syncGroup) leave(r *router) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, r)
}

// conclude decides what the members are to be. The others follow one that
// became Active because the Active resigned, which that one does for its whole
// sync group; without a resignation all must be ready, so that a link on which
// the Active is not heard does not move the addresses of those where it is.
func conclude[K comparable](active bool, epoch uint64, members map[K]member) bool {
	ready := 0
	for _, m := range members {
		obedient := m.present && m.obeyed == epoch
		switch {
		case m.own.Fault != "" || m.state == vrrp.Fault:
			return false
		case active && obedient && m.state != vrrp.Active:
			return false
		case !active && obedient && m.state == vrrp.Active:
			return true
		case m.ready || m.state == vrrp.Active:
			ready++
		}
	}
	return active || ready == len(members) && ready > 0
}

// order is what r is to be, as of which epoch.
func (s *syncGroup) order() (active bool, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active, s.epoch
}

// verdict is own with what the other members add: the fault of one is the
// fault of all, and all have the priority of the worst, for a difference would
// let two nodes win a link each.
func (s *syncGroup) verdict(r *router, own track.Verdict) track.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, m := range s.members {
		if other == r {
			continue
		}
		own.Delta = min(own.Delta, m.own.Delta)
		if own.Fault == "" && m.own.Fault != "" {
			g, _, _ := other.config()
			own.Fault = fmt.Sprintf("sync group %s: group %s: %s", s.name, g.Name, m.own.Fault)
		}
	}
	return own
}

// syncGroups makes the sync groups that the routers' configurations name,
// keeping those of before.
func syncGroups(old map[string]*syncGroup, routers []*router) map[string]*syncGroup {
	members := map[string]map[*router]bool{}
	for _, r := range routers {
		if g, _, _ := r.config(); g.VRRP.SyncGroup != "" {
			if members[g.VRRP.SyncGroup] == nil {
				members[g.VRRP.SyncGroup] = map[*router]bool{}
			}
			members[g.VRRP.SyncGroup][r] = true
		}
	}
	groups := map[string]*syncGroup{}
	for name, rs := range members {
		s := old[name]
		if s == nil {
			s = newSyncGroup(name)
		}
		groups[name] = s
		s.keep(rs)
	}
	for _, r := range routers {
		g, _, _ := r.config()
		r.setSync(groups[g.VRRP.SyncGroup])
	}
	return groups
}
