package l7

import (
	"slices"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// wanted returns the backends whose endpoints are needed: where routes lead,
// whom their middlewares ask, and who gets copies.
func wanted(t *route.Table, common backend.Policy, own map[route.Backend]backend.Policy) []route.Backend {
	out := t.Backends()
	for _, p := range own {
		if p.Mirror.Percent > 0 {
			out = append(out, p.Mirror.To)
		}
	}
	if common.Mirror.Percent > 0 {
		out = append(out, common.Mirror.To)
	}
	return slices.DeleteFunc(out, func(b route.Backend) bool { return b.Namespace == staticNamespace })
}

// outdated reports whether o may give another Result than b has.
func (b *build) outdated(o *kube.Objects) bool {
	now, was := o.Gen, b.gen
	return now.Ingresses != was.Ingresses || now.Classes != was.Classes || now.Secrets != was.Secrets ||
		now.Services != was.Services && b.result.Depends.ServicesChanged(o)
}

// miscounted reports whether the Result depends on another number of endpoints
// than there are.
func (b *build) miscounted() bool {
	for backend, n := range b.result.Depends.Counts {
		// A rule that lost its place has shares that nobody asks for.
		if kube.CountEndpoints(b.endpoints.Of(backend)) != n && slices.Contains(b.backends, backend) {
			return true
		}
	}
	return false
}
