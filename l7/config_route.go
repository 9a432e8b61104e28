package l7

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// A RouteSection is one [[l7.route]]: a rule for a backend outside of Kubernetes.
type RouteSection struct {
	Name        string            `toml:"name"`
	Host        string            `toml:"host"`
	Path        string            `toml:"path"`
	Match       string            `toml:"match"`
	Entrypoints []string          `toml:"entrypoints"`
	Middlewares []string          `toml:"middlewares"`
	Endpoint    []EndpointSection `toml:"endpoint"`
	Backend     *BackendSection   `toml:"backend"`
	// Mirror is that middleware for this route alone, behind the others.
	Mirror *middleware.MirrorSection `toml:"mirror"`
}

// An EndpointSection is one address that serves a [[l7.route]].
type EndpointSection struct {
	Address string `toml:"address"`
	Weight  *int   `toml:"weight"`
}

// A Route is a valid [[l7.route]].
type Route struct {
	Spec      route.Spec
	Endpoints []route.Endpoint
	// Policy is how they are used.
	Policy backend.Policy
}

// staticKind is the Kind of the Origin of a [[l7.route]].
const staticKind = "route"

// parseRoutes checks [[l7.route]]. c has everything that a route can name.
func (c *Config) parseRoutes(sections []RouteSection, p value.Parser) {
	for i := range sections {
		s, in := &sections[i], p.In(fmt.Sprintf("route[%d]", i))
		switch taken := slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Spec.Origin.Name == s.Name }); {
		case s.Name == "":
			in.Bad("name", "missing: status and log call the route by it")
		case !value.Token(s.Name):
			in.Bad("name", fmt.Sprintf("%q is no name: want letters, digits, - and _", s.Name))
		case taken:
			in.Bad("name", fmt.Sprintf("%q is taken by another route: names must differ", s.Name))
		}
		r := Route{Policy: c.Backend, Endpoints: parseEndpoints(s, in)}
		r.Spec = route.Spec{
			Backend: route.Static(s.Name),
			Origin:  route.Origin{Kind: staticKind, Namespace: route.StaticNamespace, Name: s.Name},
		}
		if s.Backend != nil {
			r.Policy = parseBackend(*s.Backend, c.Backend, in.In("backend"))
		}
		c.parseRule(s, &r.Spec, in)
		if s.Mirror != nil {
			parseMirror(s, &r.Spec, sections, in.In("mirror"))
		}
		c.Routes = append(c.Routes, r)
	}
}

// parseMirror reads the mirror of s, which stands beside all sections.
func parseMirror(s *RouteSection, spec *route.Spec, sections []RouteSection, p value.Parser) {
	step := s.Mirror.Parse(p)
	checkMirror(step, sections, p)
	if m, ok := step.(middleware.Mirror); ok && m.To == spec.Backend {
		p.Bad("route", fmt.Sprintf("%q is this route itself: want another one", s.Name))
	}
	spec.Steps = append(spec.Steps, step)
}

// checkMirror checks that a Mirror leads to one of routes, if it leads to such a
// route at all.
func checkMirror(step route.Step, routes []RouteSection, p value.Parser) {
	m, ok := step.(middleware.Mirror)
	if !ok || m.To.Namespace != route.StaticNamespace {
		return
	}
	if !slices.ContainsFunc(routes, func(r RouteSection) bool { return r.Name == m.To.Service }) {
		p.Bad("route", fmt.Sprintf("there is no [[l7.route]] %q", m.To.Service))
	}
}

// parseRule reads what s matches, and what is done then.
func (c *Config) parseRule(s *RouteSection, spec *route.Spec, p value.Parser) {
	host, err := route.CanonicalHost(nil, []byte(strings.TrimPrefix(s.Host, "*.")))
	if err != nil || strings.ContainsAny(s.Host, ":[]") || s.Host == "*." {
		p.Bad("host", fmt.Sprintf("%q is no host: want a DNS name, one whose first label is *, or none for all", s.Host))
	}
	if spec.Host = string(host); strings.HasPrefix(s.Host, "*.") {
		spec.Host = "*." + spec.Host
	}
	spec.Path = s.Path
	if spec.Match = [...]route.Match{route.Prefix, route.Prefix, route.Exact, route.Regexp}[p.Choice(s.Match, "match", []string{"prefix", "exact", "regexp"})+1]; spec.Match == route.Regexp {
		if err := route.CheckRegexp(s.Path); err != nil {
			p.Bad("path", fmt.Sprintf("%q is no regular expression: %v", s.Path, err))
		}
	} else if path, err := route.CanonicalPath(nil, []byte(s.Path)); s.Path != "" && err != nil {
		p.Bad("path", fmt.Sprintf("%q is no path: %v", s.Path, err))
	} else if spec.Path = string(path); s.Path == "" {
		spec.Path = "/"
	}
	for i, e := range s.Entrypoints {
		if !c.has(e) {
			p.Bad(fmt.Sprintf("entrypoints[%d]", i), fmt.Sprintf("there is no entrypoint %q", e))
		}
	}
	spec.Entrypoints = s.Entrypoints
	for i, name := range s.Middlewares {
		step, ok := c.Middlewares[name]
		if !ok {
			p.Bad(fmt.Sprintf("middlewares[%d]", i), fmt.Sprintf("there is no [[l7.middleware]] %q", name))
			continue
		}
		spec.Steps = append(spec.Steps, step)
	}
}

func parseEndpoints(s *RouteSection, p value.Parser) []route.Endpoint {
	if len(s.Endpoint) == 0 {
		p.Bad("endpoint", "missing: name at least one address that serves the route")
	}
	var out []route.Endpoint
	for i, e := range s.Endpoint {
		in := p.In(fmt.Sprintf("endpoint[%d]", i))
		addr, err := netip.ParseAddrPort(e.Address)
		switch {
		case err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() || addr.Addr().IsMulticast():
			in.Bad("address", fmt.Sprintf("%q is no endpoint: want ADDRESS:PORT, or [ADDRESS]:PORT of IPv6", e.Address))
		case slices.ContainsFunc(out, func(o route.Endpoint) bool { return o.Addr == addr }):
			in.Bad("address", fmt.Sprintf("%q stands here twice", e.Address))
		}
		out = append(out, route.Endpoint{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Weight: value.Number(in, e.Weight, "weight", 1, 1, 1000)})
	}
	return out
}

// static returns the rules of the configuration, and what they lead to.
func (c *Config) static() (specs []route.Spec, endpoints map[route.Backend][]route.Endpoint, policies map[route.Backend]backend.Policy) {
	endpoints, policies = map[route.Backend][]route.Endpoint{}, map[route.Backend]backend.Policy{}
	for _, r := range c.Routes {
		specs = append(specs, r.Spec)
		endpoints[r.Spec.Backend], policies[r.Spec.Backend] = r.Endpoints, r.Policy
	}
	return specs, endpoints, policies
}
