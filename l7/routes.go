package l7

import (
	"maps"

	"github.com/portico-lb/portico/l7/route"
)

// A RouteStatus is a rule that answers.
type RouteStatus struct {
	route.Spec
	// Endpoints is how many its backends have that take new requests.
	Endpoints int `json:"endpoints"`
}

// Routes returns the rules that answer, by host and path.
func (l *L7) Routes() []RouteStatus {
	s := l.state.Load()
	out := []RouteStatus{}
	if s.table == nil || s.endpoints == nil {
		return out
	}
	endpoints := s.endpoints.All()
	_, static, _ := l.next.Load().static()
	maps.Copy(endpoints, static)
	for _, r := range s.table.Routes() {
		n := ready(endpoints[r.Backend])
		for _, c := range r.Choices {
			if c.Backend != r.Backend {
				n += ready(endpoints[c.Backend])
			}
		}
		out = append(out, RouteStatus{*r.Spec, n})
	}
	return out
}

// ready is how many of endpoints take new requests.
func ready(endpoints []route.Endpoint) (n int) {
	for _, e := range endpoints {
		if !e.Leaving {
			n++
		}
	}
	return n
}
