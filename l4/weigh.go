package l4

import (
	"net/netip"
	"time"
)

// weigh returns the weight of each server of a service, and whether its sorry
// server answers.
//
// Up is the configured weight, down is 0. Not known yet is 0 as well, except
// for a server that has a weight in the dataplane: a daemon that starts again
// must not take servers away that served until now.
//
// With Keep, if that leaves nobody, whoever had a weight last keeps it, since
// the checks may be what is broken, and refusing every client is worse than
// trying. A node that takes over in this state holds no last set: it tries all.
func (s Service) weigh(key Key, servers []Server, in Inputs) (weights map[netip.AddrPort]int, sorry bool) {
	weights = make(map[netip.AddrPort]int, len(servers))
	last := make(map[netip.AddrPort]int, len(servers))
	all := make(map[netip.AddrPort]int, len(servers))
	have := in.Have.Find(key)
	known, up := true, 0
	for _, server := range servers {
		state := in.Health.State(server.Check)
		if server.Weight == 0 || !in.Drains.since(s, server).IsZero() {
			known = known && state.Known
			continue // the operator's word, also where nobody is left
		}
		known = known && state.Known
		all[server.Addr] = server.Weight
		d := have.Find(server.Addr)
		served := d != nil && d.Weight > 0
		if served {
			last[server.Addr] = server.Weight
		}
		switch {
		case state.Up:
			up++
			weights[server.Addr] = s.ramp(server.Weight, d, in.Now.Sub(state.Since))
		case !state.Known && served:
			up++
			weights[server.Addr] = server.Weight
		}
	}
	switch {
	case up >= max(1, s.Quorum):
		return weights, false
	case s.AllDown == Keep && len(last) > 0:
		return last, false
	case !known:
		// The first answers are on their way: nobody is refused or sent to the
		// sorry server before they came, nor is anybody sent into the blue.
		return weights, false
	case s.AllDown == Keep:
		return all, false
	}
	return nil, s.AllDown == Sorry
}

// ramp returns the weight of a server that has been up for a time. It never
// takes back what the server has: after a restart of this daemon health knows
// no time before.
func (s Service) ramp(weight int, have *Destination, up time.Duration) int {
	if up >= s.SlowStart {
		return weight
	}
	w := max(1, int(int64(weight)*int64(up)/int64(s.SlowStart)))
	if have != nil {
		w = max(w, have.Weight)
	}
	return min(w, weight)
}

// ramping reports whether a wanted state has servers on their way to their
// whole weight, so that it changes by time alone.
func ramping(cfg Config, in Inputs) bool {
	for _, s := range cfg.Services {
		if s.SlowStart == 0 {
			continue
		}
		for _, r := range s.Servers {
			if state := in.Health.State(r.Check); state.Up && in.Now.Sub(state.Since) < s.SlowStart {
				return true
			}
		}
	}
	return false
}
