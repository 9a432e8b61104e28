package middleware

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// Mirror has copies of requests go to a backend beside their own, whose answers
// nobody gets and nobody waits for. A copy is what the endpoint gets, with what the
// middlewares behind this one have made of it; what one of them answers has none.
type Mirror struct {
	// To is the backend that gets the copies.
	To route.Backend `json:"to"`
	// Percent is the share of the requests that are copied, 0 to 100.
	Percent float64 `json:"percent"`
	// Body is the longest request body that is copied, in bytes.
	Body int64 `json:"max_body"`
}

// Longest bodies of requests that are copied, in bytes.
const (
	DefaultMirrorBody = 1 << 20
	mostMirrorBody    = 16 << 20
)

// A Copy says where one of a request is to go.
type Copy struct {
	To route.Backend
	// Body is the longest body of a request that is copied, in bytes.
	Body int64
}

// Kind is its name in the configuration.
func (Mirror) Kind() string { return "mirror" }

// Backends are whose endpoints get the copies.
func (s Mirror) Backends() []route.Backend { return []route.Backend{s.To} }

// New returns the middleware.
func (s Mirror) New(Env) Middleware { return &mirror{step: s} }

type mirror struct {
	step Mirror
	turn atomic.Uint64
}

// Handle asks for a copy where it is the request's turn.
func (m *mirror) Handle(_ context.Context, r *Request) *Answer {
	if m.step.due(m.turn.Add(1)) {
		r.Copies = append(r.Copies, Copy{m.step.To, m.step.Body})
	}
	return nil
}

// due reports whether the request of a turn is copied. The multiples of the
// golden ratio fill the circle evenly, so that the share holds over few
// requests as over many, and with requests that come in a pattern.
func (s *Mirror) due(turn uint64) bool {
	const golden = 0x9e3779b97f4a7c15
	return float64(turn*golden>>11) < s.Percent/100*(1<<53)
}

// A MirrorSection is mirror = {...}.
type MirrorSection struct {
	Service string   `toml:"service"` // NAMESPACE/NAME:PORT
	URL     string   `toml:"url"`     // http://NAME.NAMESPACE.svc:PORT
	Route   string   `toml:"route"`   // the name of a [[l7.route]]
	Percent *float64 `toml:"percent"`
	MaxBody string   `toml:"max_body"`
}

// Parse checks s. Whether there is a Route of that name is for the caller to say.
func (s MirrorSection) Parse(p value.Parser) Step {
	out := Mirror{
		Percent: value.Number(p, s.Percent, "percent", 100, 0, 100),
		Body:    p.Size(s.MaxBody, "max_body", DefaultMirrorBody, 0, mostMirrorBody),
	}
	named := 0
	for _, s := range []string{s.Service, s.URL, s.Route} {
		if s != "" {
			named++
		}
	}
	switch {
	case named != 1:
		p.Bad("", "want one of service, url and route: who gets the copies")
	case s.Service != "":
		out.To = ParseService(p, s.Service, "service")
	case s.Route != "":
		out.To = route.Static(s.Route)
	default:
		var ok bool
		if out.To, ok = ServiceURL(strings.TrimSuffix(s.URL, "$request_uri")); !ok {
			p.Bad("url", fmt.Sprintf("%q is no URL of a Service: want such as \"http://copy.shop.svc:80\", and for a backend outside of Kubernetes the route of a [[l7.route]]", s.URL))
		}
	}
	return out
}
