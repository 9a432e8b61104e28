package l7

import (
	"iter"

	"github.com/portico-lb/portico/l7/route"
)

// A demand counts the uses of each backend whose endpoints are needed: by routes
// that lead there, and by their middlewares that ask it or send it copies.
type demand map[route.Backend]int

// follow counts the backends that the routes name which come and go, and returns
// those that have come into use by that and out of it. What goes has come before.
func (d *demand) follow(come, gone []*route.Route) (fresh, idle []route.Backend) {
	if len(*d) == 0 { // they are many at a start
		*d = make(demand, len(come))
		fresh = make([]route.Backend, 0, len(come))
	}
	for b := range needed(come) {
		n := (*d)[b] + 1
		if (*d)[b] = n; n == 1 {
			fresh = append(fresh, b)
		}
	}
	for b := range needed(gone) {
		if (*d)[b]--; (*d)[b] == 0 {
			delete(*d, b)
			idle = append(idle, b)
		}
	}
	return fresh, idle
}

// needed yields the backends that routes name, without those of the
// configuration, whose endpoints it says itself.
func needed(routes []*route.Route) iter.Seq[route.Backend] {
	return func(yield func(route.Backend) bool) {
		for _, r := range routes {
			for b := range r.Backends() {
				if b != (route.Backend{}) && b.Namespace != route.StaticNamespace && !yield(b) {
					return
				}
			}
		}
	}
}
