package proxy

import (
	"context"
	"log/slog"
	"maps"
	"strings"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// routing is a table with the way that each of its routes is. It is replaced,
// never changed.
type routing struct {
	table *route.Table
	// first says that there are routes beside these that are not known yet.
	first bool
	// ways are by the numbers of their routes, two to a line of memory. Requests take
	// copies: those that last would keep all of an old list.
	ways []way
	// used counts the uses of each pool by ways, and by middlewares that ask.
	used map[*backend.Pool]int
}

// A way is where the requests of a route go, and what is done to them on it.
type way struct {
	route *route.Route
	pool  *backend.Pool
	meter *meter
	*gear // never nil where there is a route
}

// A gear is what few routes have.
type gear struct {
	// chain is nil where nothing is done.
	chain *middleware.Chain
	fork  *fork // nil where there is one backend
	// mirrors get copies of requests for which chain asks for that.
	mirrors map[route.Backend]*backend.Pool
}

// plain is the gear of most.
var plain = &gear{}

// A wayKey tells the routes apart that keep state when tables change: it is
// who has the rule, not where the rule leads.
type wayKey struct {
	host, path            string
	match                 route.Match
	entrypoints           string
	kind, namespace, name string
}

func keyOf(s *route.Spec) wayKey {
	return wayKey{
		host: s.Host, path: s.Path, match: s.Match, entrypoints: strings.Join(s.Entrypoints, ","),
		kind: s.Origin.Kind, namespace: s.Origin.Namespace, name: s.Origin.Name,
	}
}

// SetRoutes makes t what all requests go by that begin from now on; nil answers
// them 503. It costs what t has changed. The middlewares of a route go on as they
// are where their steps have stayed.
func (p *Proxy) SetRoutes(t *route.Table) { p.setRoutes(t, false) }

// SetFirstRoutes is SetRoutes where others are still to come: a request that no
// rule of t matches is answered 503 then.
func (p *Proxy) SetFirstRoutes(t *route.Table) { p.setRoutes(t, true) }

func (p *Proxy) setRoutes(t *route.Table, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t == nil {
		p.routing.Store(nil)
		return
	}
	old := p.routing.Load()
	if old == nil {
		old = &routing{table: &route.Table{}, used: map[*backend.Pool]int{}}
	}
	r := &routing{table: t, first: first, ways: make([]way, t.Numbers()), used: maps.Clone(old.used)}
	copy(r.ways, old.ways)
	gone, come := t.Changed(old.table)
	lasting := make(map[wayKey]*way) // those that have something to keep
	for _, rt := range gone {
		n := rt.Number()
		if w := &old.ways[n]; w.gear != plain {
			lasting[keyOf(rt.Spec)] = w
		}
		if n < len(r.ways) {
			r.ways[n] = way{}
		}
	}
	for _, rt := range come {
		for b := range rt.Backends() {
			r.used[p.pool(b)]++
		}
		w := &r.ways[rt.Number()]
		*w = way{route: rt, pool: p.pool(rt.Backend), meter: p.counters.of(&rt.Origin), gear: plain}
		if len(rt.Steps) > 0 || len(rt.Choices) > 0 {
			p.equip(w, lasting[keyOf(rt.Spec)])
		}
	}
	idle := r.leave(gone, p.pools)
	p.routing.Store(r)
	p.forget(idle)
}

// leave counts the routes in gone out, and returns the backends whose pools are
// used no more.
func (r *routing) leave(gone []*route.Route, pools map[route.Backend]*backend.Pool) (idle []route.Backend) {
	for _, rt := range gone {
		for b := range rt.Backends() {
			pl := pools[b]
			if r.used[pl]--; r.used[pl] == 0 {
				delete(r.used, pl)
				idle = append(idle, b)
			}
		}
	}
	return idle
}

// equip gives w its middlewares and its choices. old is the same way of the
// routes before, nil without one. The caller holds mu.
func (p *Proxy) equip(w, old *way) {
	before := plain
	if old != nil {
		before = old.gear
	}
	w.gear = &gear{}
	if len(w.route.Choices) > 0 {
		w.fork = newFork(w.route.Choices, before.fork, p.pool)
	}
	steps := make([]middleware.Step, 0, len(w.route.Steps))
	for _, s := range w.route.Steps {
		step, ok := s.(middleware.Step)
		if !ok {
			// What is asked for and not known must not be left out.
			step = unknownStep{s.Kind()}
		}
		if m, ok := s.(middleware.Mirror); ok {
			if w.mirrors == nil {
				w.mirrors = make(map[route.Backend]*backend.Pool)
			}
			w.mirrors[m.To] = p.pool(m.To)
		}
		steps = append(steps, step)
	}
	if len(steps) > 0 {
		w.chain = middleware.NewChain(steps, middleware.Env{
			Log:       p.log.With(slog.String("route", w.route.Origin.String())),
			Transport: p.Transport,
		}, before.chain)
	}
}

// leadsTo reports whether a route leads to pl.
func (p *Proxy) leadsTo(pl *backend.Pool) bool {
	r := p.routing.Load()
	return r != nil && r.used[pl] > 0
}

// find returns the way that x's request goes; without one it is answered with a
// status.
func (s *server) find(x *exchange) (status int, reason string) {
	routing := s.p.routing.Load()
	if routing == nil {
		return 503, "no routes are known yet"
	}
	n := routing.table.At(s.entry.Name).Number(x.host, x.path)
	switch {
	case n < 0 && routing.first:
		return 503, "not all routes are known yet"
	case n < 0:
		return 404, "no route for this host and path"
	}
	x.way = routing.ways[n]
	return 0, ""
}

// An unknownStep refuses all requests.
type unknownStep struct{ kind string }

// Kind is its name.
func (s unknownStep) Kind() string { return s.kind }

// New returns what refuses them.
func (s unknownStep) New(env middleware.Env) middleware.Middleware {
	env.Log.Error("middleware is not known here, its routes answer 503", "kind", s.kind)
	return s
}

// Handle answers 503.
func (s unknownStep) Handle(context.Context, *middleware.Request) *middleware.Answer {
	return &middleware.Answer{Status: 503, Reason: "a middleware of this route is not known"}
}
