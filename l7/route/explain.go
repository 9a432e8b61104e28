package route

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Matches returns every route that a request's canonical host and path match,
// the one that Lookup returns first, in the order in which they would be
// preferred. It looks at all routes of the host: it is for people.
func (v View) Matches(name, path []byte) []*Route {
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	// By the kind of host, those of match Default behind all others.
	var byKind [6][]*Route
	for kind, h := range v.candidates(name) {
		if h == nil {
			continue
		}
		for _, r := range h.routes {
			switch {
			case !r.matches(path):
			case r.Match == Default:
				byKind[kind+3] = append(byKind[kind+3], r)
			default:
				byKind[kind] = append(byKind[kind], r)
			}
		}
	}
	var out []*Route
	for _, routes := range byKind {
		slices.SortFunc(routes, func(a, b *Route) int { return int(a.rank - b.rank) })
		out = append(out, routes...)
	}
	return out
}

// Matches is that of the View of an entrypoint that no rule names.
func (t *Table) Matches(name, path []byte) []*Route { return t.At("").Matches(name, path) }

// hostKind is 0 where the route's host is name, 1 where it is a wildcard for
// it, 2 where it is any, and -1 where it is another.
func (r *Route) hostKind(name []byte) int {
	if r.Host == "" {
		return 2
	}
	if rest, ok := strings.CutPrefix(r.Host, "*."); ok {
		if i := bytes.IndexByte(name, '.'); i > 0 && string(name[i+1:]) == rest {
			return 1
		}
		return -1
	}
	if r.Host == string(name) {
		return 0
	}
	return -1
}

// matches compares the path alone.
func (r *Route) matches(path []byte) bool {
	switch r.Match {
	case Default:
		return true
	case Exact:
		return string(path) == r.Path
	case Begins:
		return bytes.HasPrefix(path, []byte(r.Path))
	case Regexp:
		expr, err := compile(r.Path)
		return err == nil && expr.Match(path)
	}
	prefix := strings.TrimSuffix(r.Path, "/")
	rest, ok := bytes.CutPrefix(path, []byte(prefix))
	return ok && (len(rest) == 0 || rest[0] == '/')
}

// Beats says in words why r is preferred to other, which matches the same
// request.
func (r *Route) Beats(other *Route, name []byte) string {
	switch a, b := r.hostKind(name), other.hostKind(name); {
	case other.Match == Default && r.Match != Default:
		return "a default backend comes after every rule"
	case a != b:
		return fmt.Sprintf("%s before %s", hostKinds[a], hostKinds[b])
	case r.priority() != other.priority() && (r.Priority != 0 || other.Priority != 0):
		return fmt.Sprintf("priority %d before %d", r.priority(), other.priority())
	case r.priority() != other.priority():
		return "the longer path first"
	case r.Match != other.Match:
		return fmt.Sprintf("%v before %v", r.Match, other.Match)
	}
	return "the older object first"
}

var hostKinds = [...]string{"the exact host", "a wildcard host", "a rule without a host"}
