package route

import "slices"

// A site is the rules of one host. It is immutable, and what a Table shares with
// those before and after it.
type site struct {
	// named answers at entrypoints that a rule of the host names, all at all
	// others: it is the one a lookup needs, at the least way, as each step on it
	// waits for memory where hosts are many.
	named     map[string]*host
	all       host
	host      string   // as in Spec
	routes    []*Route // that answer somewhere, by path and match
	conflicts []Conflict
	rules     int
}

// newSite builds the site of specs, which are of one host.
func newSite(specs []Spec) *site {
	all, routes := make([]Route, len(specs)), make([]*Route, len(specs))
	for i := range specs {
		all[i].Spec, routes[i] = &specs[i], &all[i]
	}
	slices.SortStableFunc(routes, func(a, b *Route) int { return compareRank(a.Spec, b.Spec) })
	for i, r := range routes {
		r.rank = i
	}
	found := contest{answers: make([]bool, len(routes))}
	s := &site{host: specs[0].Host, rules: len(specs)}
	s.all = *newHost(only(routes, func(r *Route) bool { return len(r.Entrypoints) == 0 }), "", &found)
	s.routes = s.all.routes
	if names := entrypoints(specs); len(names) > 0 {
		s.named = make(map[string]*host, len(names))
		for _, name := range names {
			s.named[name] = newHost(only(routes, func(r *Route) bool { return r.servedAt(name) }), name, &found)
		}
		s.routes = found.answering(routes)
	}
	s.conflicts = found.conflicts()
	return s
}

// at returns the rules of an entrypoint; those of a nil site are none.
func (s *site) at(entrypoint string) *host {
	if s == nil {
		return nil
	}
	if s.named != nil {
		if h := s.named[entrypoint]; h != nil {
			return h
		}
	}
	return &s.all
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
