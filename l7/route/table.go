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
// Within a host the longest path wins, counted in elements; at equal length
// Exact wins over Prefix, whether or not one of them ends with a slash. Prefix
// "/a/" and Prefix "/a" match the same requests, so the longer one answers all
// of them and the other is a Conflict.
//
// What matches no rule goes to the Default route of the most specific host.
type Table struct {
	hosts     map[string]*host // by name
	wildcards map[string]*host // by name without "*."
	any       *host            // rules without a host, nil for none
	routes    []*Route
}

// A Route is a Spec that has its place in a Table.
type Route struct{ Spec }

// A Conflict is a Spec that can never answer, because another one claims the
// same requests.
type Conflict struct {
	Winner Spec `json:"winner"`
	Loser  Spec `json:"loser"`
}

// host holds the rules of one host.
type host struct {
	root     node
	fallback *Route // Match Default
}

// NewTable builds a Table of specs, whose order is of no importance. Of specs
// that claim the same host, path and match the oldest one wins, then the one
// with the lower namespace, name and backend; the others are returned, ordered
// by host and path.
func NewTable(specs []Spec) (*Table, []Conflict) {
	t := &Table{hosts: make(map[string]*host), wildcards: make(map[string]*host)}
	var conflicts []Conflict
	specs = slices.Clone(specs)
	slices.SortStableFunc(specs, compare)
	for i := range specs {
		r := &Route{specs[i]}
		place := t.host(r.Host).place(r)
		if winner := *place; winner != nil {
			conflicts = append(conflicts, Conflict{Winner: winner.Spec, Loser: r.Spec})
			continue
		}
		*place = r
		t.routes = append(t.routes, r)
	}
	return t, conflicts
}

// compare orders specs by host and path, and from the one that is preferred
// to the one that is not.
func compare(a, b Spec) int {
	rank := func(m Match) int { return [...]int{Exact: 0, Prefix: 1, Default: 2}[m] }
	return cmp.Or(
		strings.Compare(a.Host, b.Host),
		strings.Compare(strings.TrimSuffix(a.Path, "/"), strings.TrimSuffix(b.Path, "/")),
		cmp.Compare(rank(a.Match), rank(b.Match)),
		cmp.Compare(len(b.Path), len(a.Path)), // a trailing slash first
		a.Origin.Created.Compare(b.Origin.Created),
		strings.Compare(a.Origin.Namespace, b.Origin.Namespace),
		strings.Compare(a.Origin.Name, b.Origin.Name),
		strings.Compare(a.Origin.Kind, b.Origin.Kind),
		compareBackends(a.Backend, b.Backend),
	)
}

func compareBackends(a, b Backend) int {
	return cmp.Or(
		strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Service, b.Service),
		strings.Compare(a.Port, b.Port),
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

// place returns where a route of this host is kept.
func (h *host) place(r *Route) **Route {
	if r.Match == Default {
		return &h.fallback
	}
	return h.root.place(r.Path, r.Match)
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
		if r := h.root.lookup(path); r != nil {
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

// Routes returns every route by host, path and match. The caller leaves the
// slice as it is.
func (t *Table) Routes() []*Route { return t.routes }

// Backends returns every backend that a route names, once, in order: what
// endpoints are needed for. The zero Backend is not among them.
func (t *Table) Backends() []Backend {
	seen := make(map[Backend]bool)
	var bs []Backend
	for _, r := range t.routes {
		if r.Backend != (Backend{}) && !seen[r.Backend] {
			seen[r.Backend] = true
			bs = append(bs, r.Backend)
		}
	}
	slices.SortFunc(bs, compareBackends)
	return bs
}
