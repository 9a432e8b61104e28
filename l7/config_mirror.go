package l7

import (
	"fmt"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// A MirrorSection has copies of a route's requests go to another backend, whose
// answers nobody gets.
type MirrorSection struct {
	Service string   `toml:"service"` // NAMESPACE/NAME:PORT
	Route   string   `toml:"route"`   // the name of a [[l7.route]]
	Percent *float64 `toml:"percent"`
	MaxBody string   `toml:"max_body"`
}

// Longest bodies of requests that are copied, in bytes.
const (
	defaultMirrorBody = 1 << 20
	mostMirrorBody    = 16 << 20
)

// parseMirror checks s, which stands in the route of a name beside all routes.
func parseMirror(s *MirrorSection, name string, routes []RouteSection, p value.Parser) backend.Mirror {
	out := backend.Mirror{
		Percent: value.Number(p, s.Percent, "percent", 100, 0, 100),
		Body:    p.Size(s.MaxBody, "max_body", defaultMirrorBody, 0, mostMirrorBody),
	}
	switch {
	case (s.Service == "") == (s.Route == ""):
		p.Bad("", "want one of service and route: who gets the copies")
	case s.Service != "":
		out.To = middleware.ParseService(p, s.Service, "service")
	case s.Route == name:
		p.Bad("route", fmt.Sprintf("%q is this route itself: want another one", s.Route))
	case !named(routes, s.Route):
		p.Bad("route", fmt.Sprintf("there is no [[l7.route]] %q", s.Route))
	default:
		out.To = staticBackend(s.Route)
	}
	return out
}

func named(routes []RouteSection, name string) bool {
	for _, r := range routes {
		if r.Name == name {
			return true
		}
	}
	return false
}

// staticBackend is where the [[l7.route]] of a name leads.
func staticBackend(name string) route.Backend {
	return route.Backend{Namespace: staticNamespace, Service: name, Port: "endpoint"}
}
