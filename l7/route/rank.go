package route

import (
	"cmp"
	"strings"
)

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
		a.Backend.Compare(b.Backend),
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

// Compare orders backends by namespace, Service, port, and how they are used.
func (b Backend) Compare(c Backend) int {
	return cmp.Or(
		strings.Compare(b.Namespace, c.Namespace),
		strings.Compare(b.Service, c.Service),
		strings.Compare(b.Port, c.Port),
		strings.Compare(b.As, c.As),
	)
}
