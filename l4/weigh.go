package l4

import (
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
)

// weigh returns the weights of a service's servers, in their order, and
// whether its sorry server answers. have is the service as it stands, nil
// where it does not.
//
// Up is the configured weight, or as much of it as the server wants, down is 0. Not known yet is 0 as well, except
// for a server that has a weight in the dataplane: a daemon that starts again
// must not take servers away that served until now.
//
// With Keep, if that leaves nobody, those that fell last go on, see fellLast:
// the checks may be what is broken, and refusing every client is worse than
// trying.
func (s Service) weigh(have *VirtualService, servers []Server, in Inputs) (weights []int, sorry bool) {
	weights = make([]int, len(servers))
	held := make([]int, len(servers)) // the whole weights of those that serve
	var asked []int                   // the servers that health decides about
	known, up, serving := true, 0, 0
	for i, server := range servers {
		state := in.Health.State(server.Check)
		if server.Weight == 0 || !in.Drains.since(s, server).IsZero() {
			known = known && state.Known
			continue // the operator's word, also where nobody is left
		}
		known = known && state.Known
		asked = append(asked, i)
		d := have.Find(server.Addr)
		served := d != nil && d.Weight > 0
		if served {
			serving++
			held[i] = server.Weight
		}
		switch {
		case state.Up:
			// One that wants nothing is as good as down for everybody else.
			if w := server.share(state); w > 0 {
				up++
				weights[i] = s.ramp(w, d, in.Now.Sub(state.Since))
			}
		case !state.Known && served:
			up++
			weights[i] = server.Weight
			if server.weighs() {
				weights[i] = min(d.Weight, server.Weight)
			}
		}
	}
	switch {
	case up >= max(1, s.Quorum):
		return weights, false
	case !known && s.AllDown == Keep && serving > 0:
		return held, false
	case !known:
		// The first answers are on their way: nobody is refused or sent to the
		// sorry server before they came, nor is anybody sent into the blue.
		return weights, false
	case s.AllDown == Keep:
		for _, i := range fellLast(servers, asked, in.Health) {
			weights[i] = servers[i].Weight
		}
		return weights, false
	}
	return make([]int, len(servers)), s.AllDown == Sorry
}

// fellLast returns the servers among asked that are worth trying when none is
// up: those that fell together with the last one to fall. What breaks for all
// at once, a check as well as a network, fells them one by one, at the pace of
// their attempts, so together is within the time that a check takes to tell.
// One that is up and wants nothing works at least. Where none fell, all were
// down from the beginning, and each is as good as the other.
//
// Health alone decides and not who has a weight, so that a node that takes
// over, or starts again, tries those that the owner before it tried.
func fellLast(servers []Server, asked []int, h *health.Snapshot) []int {
	var last time.Time
	var within time.Duration
	for _, i := range asked {
		if state := h.State(servers[i].Check); state.Fell && !state.Since.Before(last) {
			last, within = state.Since, servers[i].Check.Detection()
		}
	}
	if last.IsZero() {
		return asked
	}
	return slices.DeleteFunc(asked, func(i int) bool {
		state := h.State(servers[i].Check)
		return !state.Up && (!state.Fell || last.Sub(state.Since) > within)
	})
}

// weighs reports whether the server is asked how much of its weight it wants.
func (r Server) weighs() bool { return r.Check.WeightFrom != "" }

// share returns the server's weight while it is up.
func (r Server) share(state health.State) int {
	if r.weighs() {
		return state.Weight(r.Weight)
	}
	return r.Weight
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
