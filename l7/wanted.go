package l7

import (
	"slices"

	"github.com/portico-lb/portico/l7/route"
)

// A demand counts the uses of each backend whose endpoints are needed: by routes
// that lead there, and by their middlewares that ask it or send it copies.
type demand map[route.Backend]int

// follow counts what comes and what goes, and returns the backends that have come
// into use by that and out of it, in order.
func (d demand) follow(come, gone []route.Backend) (fresh, idle []route.Backend) {
	used := make(map[route.Backend]bool) // before
	count := func(backends []route.Backend, n int) {
		for _, b := range backends {
			if b == (route.Backend{}) || b.Namespace == route.StaticNamespace {
				continue
			}
			if _, seen := used[b]; !seen {
				used[b] = d[b] > 0
			}
			if d[b] += n; d[b] == 0 {
				delete(d, b)
			}
		}
	}
	count(come, 1)
	count(gone, -1)
	for b, was := range used {
		switch is := d[b] > 0; {
		case is && !was:
			fresh = append(fresh, b)
		case was && !is:
			idle = append(idle, b)
		}
	}
	slices.SortFunc(fresh, route.Backend.Compare)
	slices.SortFunc(idle, route.Backend.Compare)
	return fresh, idle
}

// leadTo returns the backends that routes name.
func leadTo(routes []*route.Route) (out []route.Backend) {
	for _, r := range routes {
		out = slices.AppendSeq(out, r.Backends())
	}
	return out
}
