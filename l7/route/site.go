package route

import (
	"slices"
	"strings"
)

// A site is the rules of one host. It is immutable, and what a Table shares with
// those before and after it.
type site struct {
	// short is the name that the site is found by, behind its length; of a long
	// one there is the host.
	short [32]byte
	// At the entrypoints that a rule of the host names these answer, all at all
	// others.
	named     *named // nil where none does
	all       host
	host      string // as in Spec
	conflicts []Conflict
	rules     int
}

// named are the rules of a host some of which name entrypoints.
type named struct {
	hosts  map[string]*host
	routes []*Route // that answer somewhere, by path and match
}

// newSite builds the site of specs, which are of one host.
func newSite(specs []Spec) *site {
	s, all, routes := makeSite(len(specs))
	for i := range specs {
		all[i].Spec, routes[i] = &specs[i], &all[i]
	}
	slices.SortStableFunc(routes, func(a, b *Route) int { return compareRank(a.Spec, b.Spec) })
	for i, r := range routes {
		r.rank = int32(i)
	}
	found := contest{answers: make([]bool, len(routes))}
	s.host, s.rules = specs[0].Host, len(specs)
	if name := strings.TrimPrefix(s.host, "*."); len(name) < len(s.short) {
		s.short[0] = byte(copy(s.short[1:], name))
	}
	s.all = *newHost(only(routes, func(r *Route) bool { return len(r.Entrypoints) == 0 }), "", &found)
	if names := entrypoints(specs); len(names) > 0 {
		s.named = &named{hosts: make(map[string]*host, len(names))}
		for _, name := range names {
			s.named.hosts[name] = newHost(only(routes, func(r *Route) bool { return r.servedAt(name) }), name, &found)
		}
		s.named.routes = found.answering(routes)
	}
	s.conflicts = found.conflicts()
	return s
}

// makeSite returns room for a site with n rules. A lookup among many hosts waits for
// memory and nothing else: the one rule that most sites have stands before their
// names, in the same 64 bytes, and with it the site has three times that.
func makeSite(n int) (*site, []Route, []*Route) {
	if n > 1 {
		return &site{}, make([]Route, n), make([]*Route, n)
	}
	both := &struct {
		all [1]Route
		site
		routes [1]*Route
	}{}
	return &both.site, both.all[:], both.routes[:]
}

// routes are those that answer somewhere, by path and match.
func (s *site) routes() []*Route {
	if s.named != nil {
		return s.named.routes
	}
	return s.all.routes
}

// is reports whether s is found by that name.
func (s *site) is(name []byte) bool {
	if n := int(s.short[0]); n > 0 {
		return string(s.short[1:1+n]) == string(name)
	}
	return strings.TrimPrefix(s.host, "*.") == string(name)
}

// at returns the rules of an entrypoint; those of a nil site are none.
func (s *site) at(entrypoint string) *host {
	if s == nil {
		return nil
	}
	if s.named != nil {
		if h := s.named.hosts[entrypoint]; h != nil {
			return h
		}
	}
	return &s.all
}

// only is the number of the one route that answers for the host, whatever the path
// and the entrypoint, and 1; without such a route it is 0.
func (s *site) only() int32 {
	h := &s.all
	if s.named != nil || h.others != nil || h.root.children != nil || h.root.exact != [2]*Route{} || h.root.prefix == nil {
		return 0
	}
	return h.root.prefix.number + 1
}

// size is how many rules there are; a nil site has none.
func (s *site) size() int {
	if s == nil {
		return 0
	}
	return s.rules
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
