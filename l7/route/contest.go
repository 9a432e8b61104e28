package route

import "slices"

// A contest collects who got which place of the tables.
type contest struct {
	answers []bool // somewhere, by rank
	lost    []loss
}

// A loss is a place that loser did not get.
type loss struct {
	winner, loser *Route
	entrypoint    string
}

// add notes that winner has the place at the entrypoint that r claimed.
func (c *contest) add(r, winner *Route, entrypoint string) {
	if winner == r {
		c.answers[r.rank] = true
	} else {
		c.lost = append(c.lost, loss{winner, r, entrypoint})
	}
}

// answering returns those of routes that have a place, by host and path.
func (c *contest) answering(routes []*Route) []*Route {
	out := only(routes, func(r *Route) bool { return c.answers[r.rank] })
	slices.SortFunc(out, compareShown)
	return out
}

// conflicts returns the losses of each pair as one.
func (c *contest) conflicts() []Conflict {
	slices.SortStableFunc(c.lost, func(a, b loss) int {
		if n := compareShown(a.loser, b.loser); n != 0 {
			return n
		}
		return int(a.winner.rank - b.winner.rank)
	})
	var out []Conflict
	var last loss
	for _, l := range c.lost {
		again := l.winner == last.winner && l.loser == last.loser
		last = l
		switch {
		case !again:
			out = append(out, Conflict{Winner: *l.winner.Spec, Loser: *l.loser.Spec})
		case !c.answers[l.loser.rank]:
			continue
		}
		if c.answers[l.loser.rank] {
			at := &out[len(out)-1].Entrypoints
			*at = append(*at, l.entrypoint)
		}
	}
	return out
}
