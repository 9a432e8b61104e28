package l7

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// A Question is a request that nobody makes.
type Question struct {
	// URL has a scheme and a host.
	URL string `json:"url"`
	// Header are fields of the request. A Host stands above that of the URL.
	Header http.Header `json:"header,omitempty"`
	// Entrypoint is where it comes; "" is the first one that speaks the URL's
	// scheme at its port.
	Entrypoint string `json:"entrypoint,omitempty"`
}

// An Explanation says what would become of a request.
type Explanation struct {
	Entrypoint string `json:"entrypoint"`
	// Host and Path are those that are compared: canonical.
	Host string `json:"host"`
	Path string `json:"path"`
	// Route is the one that answers; nil where the answer is Answer.
	Route  *route.Spec `json:"route,omitempty"`
	Answer string      `json:"answer,omitempty"`
	// Others are the further ones that match, in the order in which they would
	// be preferred.
	Others []Other `json:"others,omitempty"`
	// Conflicts are rules for the very same requests as Route, which never answer.
	Conflicts []route.Spec `json:"conflicts,omitempty"`
	// Backends are where the request may go, with what it takes.
	Backends []BackendChoice `json:"backends,omitempty"`
	// Certificate is the one that a client of the host is shown; nil without TLS.
	Certificate *certs.Certificate `json:"certificate,omitempty"`
	// Problems are those of the object that Route comes from.
	Problems []kube.Problem `json:"problems,omitempty"`
	// Dialects is what the other dialects would make of the same objects, by name.
	Dialects []DialectAnswer `json:"dialects,omitempty"`
}

// An Other is a route that matches and does not answer.
type Other struct {
	Route route.Spec `json:"route"`
	// Why is what the one that answers has before it.
	Why string `json:"why"`
}

// A BackendChoice is one backend that a request may go to.
type BackendChoice struct {
	Backend route.Backend `json:"backend"`
	// Share is its part of such requests, 0 to 1.
	Share float64 `json:"share"`
	// Because names the header or cookie that decided.
	Because string `json:"because,omitempty"`
	// Endpoints are the pool's, with what is known of them.
	Endpoints []backend.EndpointStatus `json:"endpoints"`
}

// A DialectAnswer is what another dialect would do.
type DialectAnswer struct {
	Dialect string `json:"dialect"`
	// Route is nil where there would be none.
	Route *route.Spec `json:"route,omitempty"`
	// Same says that the same rule answers with the same steps.
	Same bool `json:"same"`
}

// Explain says what would become of q.
func (l *L7) Explain(q Question) (Explanation, error) {
	s := l.state.Load()
	if s.table == nil {
		return Explanation{}, cmp.Or(s.ready(), errors.New("no routes are known yet"))
	}
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Explanation{}, fmt.Errorf("%q is no URL of a request: want one such as https://shop.example.com/cart", q.URL)
	}
	authority := cmp.Or(q.Header.Get("Host"), u.Host)
	host, err := route.CanonicalHost(nil, []byte(authority))
	if err != nil {
		return Explanation{}, fmt.Errorf("%s: %w: it is answered 400", authority, err)
	}
	path, err := route.CanonicalPath(nil, []byte(cmp.Or(u.EscapedPath(), "/")))
	if err != nil {
		return Explanation{}, fmt.Errorf("%s: %w: it is answered 400", u.EscapedPath(), err)
	}
	entry, err := l.next.Load().entrypointOf(q.Entrypoint, u)
	if err != nil {
		return Explanation{}, err
	}
	out := Explanation{Entrypoint: entry.Name, Host: string(host), Path: string(path)}
	if entry.TLS != nil {
		out.Certificate = shown(l.certs.Status(), string(host))
	}
	matches := s.table.At(entry.Name).Matches(host, path)
	switch {
	case len(matches) > 0:
		l.explainRoute(&out, s, matches, q.Header)
	case s.objects() == nil:
		out.Answer = "503: no [[l7.route]] for this host and path, and what Kubernetes says is not known yet"
	default:
		out.Answer = "404: no route for this host and path"
	}
	out.Dialects = s.dialects(entry.Name, host, path, out.Route)
	return out, nil
}

// entrypointOf returns the entrypoint of that name, or where a client of u
// connects.
func (c *Config) entrypointOf(name string, u *url.URL) (*Entrypoint, error) {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	var byScheme *Entrypoint
	for i := range c.Entrypoints {
		e := &c.Entrypoints[i]
		speaks := (e.TLS != nil) == (u.Scheme == "https")
		switch {
		case name != "":
			if e.Name == name {
				return e, nil
			}
		case speaks && strings.HasSuffix(e.Listen, ":"+port):
			return e, nil
		case speaks && byScheme == nil:
			byScheme = e
		}
	}
	if byScheme != nil {
		return byScheme, nil
	}
	if name != "" {
		return nil, fmt.Errorf("there is no entrypoint %q", name)
	}
	return nil, fmt.Errorf("no entrypoint speaks %s", u.Scheme)
}

// explainRoute tells of the first of matches, and of the rest beside it.
func (l *L7) explainRoute(out *Explanation, s *state, matches []*route.Route, header http.Header) {
	winner := matches[0]
	out.Route = winner.Spec
	for _, m := range matches[1:] {
		out.Others = append(out.Others, Other{*m.Spec, winner.Beats(m, []byte(out.Host))})
	}
	for _, c := range s.conflicts {
		if c.Winner.Origin == winner.Origin && c.Winner.Host == winner.Host && c.Winner.Path == winner.Path && c.Winner.Match == winner.Match {
			out.Conflicts = append(out.Conflicts, c.Loser)
		}
	}
	for _, p := range s.problems {
		if p.Object == winner.Origin.String() || winner.Backend.Service != "" && p.Object == "Service "+winner.Backend.Namespace+"/"+winner.Backend.Service {
			out.Problems = append(out.Problems, p)
		}
	}
	pools := map[route.Backend][]backend.EndpointStatus{}
	for _, b := range l.engine.Status().Backends {
		pools[b.Backend] = b.Endpoints
	}
	for _, c := range choose(winner.Spec, header) {
		if c.Backend == (route.Backend{}) {
			out.Answer = "503: the rule stands, but its backend cannot be served"
			continue
		}
		c.Endpoints = pools[c.Backend]
		out.Backends = append(out.Backends, c)
	}
}

// shown returns the certificate that a client which asks for host gets; nil is
// the self-signed one.
func shown(all []certs.Certificate, host string) *certs.Certificate {
	_, parent, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + parent} {
		for i := range all {
			if slices.Contains(all[i].Hosts, name) {
				return &all[i]
			}
		}
	}
	for i := range all {
		if all[i].Default {
			return &all[i]
		}
	}
	return nil
}

// dialects says which route each other dialect would have.
func (s *state) dialects(entrypoint string, host, path []byte, now *route.Spec) []DialectAnswer {
	objects := s.objects()
	if objects == nil {
		return nil
	}
	var out []DialectAnswer
	for i, name := range kube.Dialects() {
		opt := s.options
		if opt.Dialect = kube.Dialect(i); opt.Dialect == s.options.Dialect {
			continue
		}
		table, _ := route.NewTable(slices.Concat(s.own, kube.Routes(objects, opt).Specs))
		a := DialectAnswer{Dialect: name}
		if r := table.At(entrypoint).Lookup(host, path); r != nil {
			a.Route = r.Spec
		}
		a.Same = (now == nil) == (a.Route == nil) && (now == nil || sameAnswer(now, a.Route))
		out = append(out, a)
	}
	return out
}
