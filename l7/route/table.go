package route

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// A Table finds the route of a request. It is immutable.
//
// A request may match rules of three kinds of host: its own name, a wildcard
// that stands for its first label, and no host. The rules are tried in that
// order, and a host whose paths do not match hands the request on to the next
// kind: Kubernetes applies a rule without a host to all inbound traffic, and
// gives to the default backend only what matches no rule of any Ingress.
// (nginx and the Envoy family answer 404 instead; Traefik hands on too.) An
// operator who wants a host closed gives it a rule for "/".
//
// Within a host the rule with the highest Priority wins, and one without has the
// length of its path for that, in bytes, without the slash that ends a Prefix.
// Of equal ones Exact wins, then Prefix, Begins and Regexp. Where no rule has a
// Priority this is what Kubernetes says: the longest path wins, and at equal
// length Exact wins over Prefix, whether or not one of them ends with a slash.
// Prefix "/a/" and Prefix "/a" match the same requests, so the better one
// answers all of them and the other is a Conflict.
//
// What matches no rule goes to the Default route of the most specific host.
//
// A Table that was made of rules with Entrypoints answers for those that no
// rule names; see At for the others.
type Table struct {
	hosts     map[string]*host // by name
	wildcards map[string]*host // by name without "*."
	any       *host            // rules without a host, nil for none
	at        map[string]*Table
	rest      *Table // that of an entrypoint which no rule names
	routes    []*Route
}

// A Route is a Spec that has its place in a Table.
type Route struct {
	Spec
	// rank is the place among all rules from the one that is preferred to the
	// one that is not.
	rank int
}

// A Conflict is a Spec that can never answer, because another one claims the
// same requests.
type Conflict struct {
	Winner Spec `json:"winner"`
	Loser  Spec `json:"loser"`
	// Entrypoints are those where this is so, if the loser answers at others.
	Entrypoints []string `json:"entrypoints,omitempty"`
}

// NewTable builds a Table of specs, whose order is of no importance. Of specs
// that claim the same host, path and match that of the highest priority wins,
// then the oldest one, then the one with the lower namespace, name and backend;
// the others are returned, ordered by host and path. An expression that
// CheckRegexp refuses matches nothing.
func NewTable(specs []Spec) (*Table, []Conflict) {
	routes := make([]*Route, len(specs))
	for i := range specs {
		routes[i] = &Route{Spec: specs[i]}
	}
	slices.SortStableFunc(routes, func(a, b *Route) int { return compareRank(&a.Spec, &b.Spec) })
	for i, r := range routes {
		r.rank = i
	}
	found := contest{answers: make([]bool, len(routes))}
	t := &Table{}
	t.fill(only(routes, func(r *Route) bool { return len(r.Entrypoints) == 0 }), "", &found)
	if names := entrypoints(specs); len(names) > 0 {
		at := make(map[string]*Table, len(names))
		for _, name := range names {
			sub := &Table{}
			sub.fill(only(routes, func(r *Route) bool { return r.servedAt(name) }), name, &found)
			at[name] = sub
		}
		rest := *t
		t.at, t.rest, t.routes = at, &rest, found.answering(routes)
	}
	return t, found.conflicts()
}

// only returns those of routes that keep says.
func only(routes []*Route, keep func(*Route) bool) []*Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r *Route) bool { return !keep(r) })
}

// entrypoints returns the names in specs, once each.
func entrypoints(specs []Spec) []string {
	var names []string
	for i := range specs {
		for _, e := range specs[i].Entrypoints {
			if !slices.Contains(names, e) {
				names = append(names, e)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (s *Spec) servedAt(entrypoint string) bool {
	return len(s.Entrypoints) == 0 || slices.Contains(s.Entrypoints, entrypoint)
}

// fill puts routes into t, the preferred ones first, and tells found who got
// which place at the entrypoint.
func (t *Table) fill(routes []*Route, entrypoint string, found *contest) {
	t.hosts, t.wildcards = make(map[string]*host), make(map[string]*host)
	for _, r := range routes {
		winner := t.host(r.Host).claim(r)
		found.add(r, winner, entrypoint)
		if winner == r {
			t.routes = append(t.routes, r)
		}
	}
	slices.SortFunc(t.routes, compareShown)
}

// compareRank orders specs from the one that is preferred to the one that is
// not, among those that may match the same request and are of the same host.
func compareRank(a, b *Spec) int {
	return cmp.Or(
		cmp.Compare(b.priority(), a.priority()),
		cmp.Compare(a.Match.order(), b.Match.order()),
		cmp.Compare(len(b.Path), len(a.Path)), // a trailing slash first
		a.Origin.Created.Compare(b.Origin.Created),
		strings.Compare(a.Origin.Namespace, b.Origin.Namespace),
		strings.Compare(a.Origin.Name, b.Origin.Name),
		strings.Compare(a.Origin.Kind, b.Origin.Kind),
		compareBackends(a.Backend, b.Backend),
	)
}

// priority is Priority, or what stands for it.
func (s *Spec) priority() int {
	switch {
	case s.Priority != 0:
		return s.Priority
	case s.Match == Prefix && len(s.Path) > 1:
		return len(strings.TrimSuffix(s.Path, "/"))
	}
	return len(s.Path)
}

// order is the place of a match among those of equal priority.
func (m Match) order() int {
	return [...]int{Exact: 0, Prefix: 1, Begins: 2, Regexp: 3, Default: 4}[m]
}

// compareShown orders routes by host and path.
func compareShown(a, b *Route) int {
	return cmp.Or(
		strings.Compare(a.Host, b.Host),
		strings.Compare(strings.TrimSuffix(a.Path, "/"), strings.TrimSuffix(b.Path, "/")),
		cmp.Compare(a.Match.order(), b.Match.order()),
		cmp.Compare(a.rank, b.rank),
	)
}

func compareBackends(a, b Backend) int {
	return cmp.Or(
		strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Service, b.Service),
		strings.Compare(a.Port, b.Port),
		strings.Compare(a.As, b.As),
	)
}

// host returns the entry for a Spec's Host and makes it where it is missing.
func (t *Table) host(name string) *host {
	if name == "" {
		if t.any == nil {
			t.any = &host{}
		}
		return t.any
	}
	m := t.hosts
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		m, name = t.wildcards, rest
	}
	if m[name] == nil {
		m[name] = &host{}
	}
	return m[name]
}

// At returns the Table of an entrypoint: of the rules for all of them and of
// those for this one. It costs nothing where no rule names an entrypoint.
func (t *Table) At(entrypoint string) *Table {
	if sub := t.at[entrypoint]; sub != nil {
		return sub
	}
	if t.rest != nil {
		return t.rest
	}
	return t
}

// Lookup returns the route for a request's canonical host and path (see
// CanonicalHost and CanonicalPath), or nil. It allocates nothing.
func (t *Table) Lookup(name, path []byte) *Route {
	if len(path) == 0 || path[0] != '/' {
		return nil // the * of OPTIONS names no resource
	}
	var candidates [3]*host
	candidates[0] = t.hosts[string(name)]
	if i := bytes.IndexByte(name, '.'); i > 0 {
		candidates[1] = t.wildcards[string(name[i+1:])]
	}
	candidates[2] = t.any
	for _, h := range candidates {
		if h == nil {
			continue
		}
		if r := h.lookup(path); r != nil {
			return r
		}
	}
	for _, h := range candidates {
		if h != nil && h.fallback != nil {
			return h.fallback
		}
	}
	return nil
}

// Routes returns every route that answers somewhere, by host, path and match.
// The caller leaves the slice as it is.
func (t *Table) Routes() []*Route { return t.routes }

// Backends returns every backend that a route names, once, in order: what
// endpoints are needed for. The zero Backend is not among them.
func (t *Table) Backends() []Backend {
	seen := map[Backend]bool{{}: true}
	var bs []Backend
	add := func(b Backend) {
		if !seen[b] {
			seen[b] = true
			bs = append(bs, b)
		}
	}
	for _, r := range t.routes {
		add(r.Backend)
		for i := range r.Choices {
			add(r.Choices[i].Backend)
		}
		for _, s := range r.Steps {
			if a, ok := s.(Asking); ok {
				for _, b := range a.Backends() {
					add(b)
				}
			}
		}
	}
	slices.SortFunc(bs, compareBackends)
	return bs
}
