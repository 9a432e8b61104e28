package route

import (
	"bytes"
	"cmp"
	"iter"
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
// A Table answers for entrypoints that no rule names; see At for the others.
type Table struct {
	hosts     index
	wildcards index // by name without "*."
	any       *site // rules without a host, nil for none
	rules     int
	numbers   numbers
}

// A Route is a Spec that has its place in a Table.
type Route struct {
	*Spec // of those that the Table was made of
	// rank is the place among all rules of its host from the one that is
	// preferred to the one that is not.
	rank   int32
	number int32
}

// Number is what no other route of the same Table has, from 0 to below Numbers:
// an index for what a user of the Table keeps beside its routes.
func (r *Route) Number() int { return int(r.number) }

// Numbers is more than the Number of any route is.
func (t *Table) Numbers() int { return int(t.numbers.next) }

// numbers are those that the routes of a Table have.
type numbers struct {
	next int32
	free []int32 // of those below next
}

func (n *numbers) take() int32 {
	if last := len(n.free) - 1; last >= 0 {
		number := n.free[last]
		n.free = n.free[:last]
		return number
	}
	n.next++
	return n.next - 1
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
	t := (&Table{}).With(ByHost(specs))
	return t, t.Conflicts()
}

// ByHost sorts specs by their hosts, in the order in which they stand. Those of a
// single host are not copied.
func ByHost(specs []Spec) map[string][]Spec {
	out := make(map[string][]Spec)
	AddByHost(out, specs)
	return out
}

// AddByHost does what ByHost does, beside what out says of other hosts.
func AddByHost(out map[string][]Spec, specs []Spec) {
	if len(specs) > 0 && !slices.ContainsFunc(specs, func(s Spec) bool { return s.Host != specs[0].Host }) {
		out[specs[0].Host] = slices.Clip(specs)
		return
	}
	sizes := make(map[string]int)
	for i := range specs {
		sizes[specs[i].Host]++
	}
	for i := range specs {
		host := specs[i].Host
		if n := sizes[host]; n > 0 {
			out[host] = make([]Spec, 0, n)
			sizes[host] = 0
		}
		out[host] = append(out[host], specs[i])
	}
}

// With returns a Table in which the hosts that changed names have the rules that
// it says, none for no rules, and all others those of t, at the cost of what has
// changed. The caller leaves the rules as they are.
func (t *Table) With(changed map[string][]Spec) *Table {
	out := &Table{
		hosts: t.hosts.clone(len(changed)), wildcards: t.wildcards.clone(0), any: t.any, rules: t.rules,
		numbers: numbers{t.numbers.next, slices.Clone(t.numbers.free)},
	}
	for name, specs := range changed {
		var s *site
		if len(specs) > 0 {
			s = newSite(specs)
		}
		out.put(name, s)
	}
	return out
}

// put makes s what answers for the Host name; nil is nothing.
func (t *Table) put(name string, s *site) {
	var old *site
	if name == "" {
		old, t.any = t.any, s
	} else if rest, ok := strings.CutPrefix(name, "*."); ok {
		old = t.wildcards.put(rest, s)
	} else {
		old = t.hosts.put(name, s)
	}
	t.rules += s.size() - old.size()
	if old != nil {
		for _, r := range old.routes() {
			t.numbers.free = append(t.numbers.free, r.number)
		}
	}
	if s != nil {
		for _, r := range s.routes() {
			r.number = t.numbers.take()
		}
	}
}

// sites returns all, by their hosts.
func (t *Table) sites() []*site {
	all := slices.AppendSeq(make([]*site, 0, t.hosts.size+t.wildcards.size+1), t.hosts.all())
	all = slices.AppendSeq(all, t.wildcards.all())
	if t.any != nil {
		all = append(all, t.any)
	}
	slices.SortFunc(all, func(a, b *site) int { return strings.Compare(a.host, b.host) })
	return all
}

// Conflicts returns the rules that never answer somewhere, by host and path.
func (t *Table) Conflicts() []Conflict {
	var out []Conflict
	for _, s := range t.contested() {
		out = append(out, s.conflicts...)
	}
	return out
}

// contested returns the sites with conflicts, by their hosts.
func (t *Table) contested() (out []*site) {
	add := func(s *site) {
		if s != nil && len(s.conflicts) > 0 {
			out = append(out, s)
		}
	}
	for s := range t.hosts.all() {
		add(s)
	}
	for s := range t.wildcards.all() {
		add(s)
	}
	add(t.any)
	slices.SortFunc(out, func(a, b *site) int { return strings.Compare(a.host, b.host) })
	return out
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

// A View is a Table as one entrypoint has it.
type View struct {
	table      *Table
	entrypoint string
}

// At returns the View of an entrypoint: the rules for all of them and those for
// this one.
func (t *Table) At(entrypoint string) View { return View{t, entrypoint} }

// Lookup is that of the View of an entrypoint that no rule names.
func (t *Table) Lookup(name, path []byte) *Route { return t.At("").Lookup(name, path) }

// candidates are the rules that a request for a host is matched with, by the
// kind of their host; nil are none.
func (v View) candidates(name []byte) (found [3]*host) {
	found[0] = v.table.hosts.find(name).at(v.entrypoint)
	if i := bytes.IndexByte(name, '.'); i > 0 {
		found[1] = v.table.wildcards.find(name[i+1:]).at(v.entrypoint)
	}
	found[2] = v.table.any.at(v.entrypoint)
	return found
}

// Lookup returns the route for a request's canonical host and path (see
// CanonicalHost and CanonicalPath), or nil. It allocates nothing.
func (v View) Lookup(name, path []byte) *Route {
	if len(path) == 0 || path[0] != '/' {
		return nil // the * of OPTIONS names no resource
	}
	// Nearly all requests are for a host that has a rule for them: those do not
	// pay for the other kinds.
	if h := v.table.hosts.find(name).at(v.entrypoint); h != nil {
		if r := h.lookup(path); r != nil {
			return r
		}
	}
	return v.lookupFurther(name, path)
}

// lookupFurther is Lookup where no rule of the host itself matches, but for its
// Default.
func (v View) lookupFurther(name, path []byte) *Route {
	candidates := v.candidates(name)
	for _, h := range candidates[1:] {
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

// Rules is how many rules there are, with those that never answer.
func (t *Table) Rules() int { return t.rules }

// Routes returns every route that answers somewhere, by host, path and match.
func (t *Table) Routes() []*Route {
	out := make([]*Route, 0, t.rules)
	for _, s := range t.sites() {
		out = append(out, s.routes()...)
	}
	return out
}

// Changed returns the routes that answer in before alone, and those that answer
// in t alone, in no particular order. A host of which nothing has changed has the
// very same routes in both; of all others, none is the same.
func (t *Table) Changed(before *Table) (gone, come []*Route) {
	if before.rules == 0 { // as at a start
		come = make([]*Route, 0, t.rules)
	}
	add := func(was, is *site) {
		if was == is {
			return
		}
		if was != nil {
			gone = append(gone, was.routes()...)
		}
		if is != nil {
			come = append(come, is.routes()...)
		}
	}
	t.hosts.compare(&before.hosts, add)
	t.wildcards.compare(&before.wildcards, add)
	add(before.any, t.any)
	return gone, come
}

// Backends returns every backend that a route names, once, in order: what
// endpoints are needed for. The zero Backend is not among them.
func (t *Table) Backends() []Backend {
	seen := map[Backend]bool{{}: true}
	var bs []Backend
	for _, r := range t.Routes() {
		for b := range r.Backends() {
			if !seen[b] {
				seen[b] = true
				bs = append(bs, b)
			}
		}
	}
	slices.SortFunc(bs, Backend.Compare)
	return bs
}

// Backends yields the backends that the rule names: where it leads, whom it
// shares its requests with, and whom its steps ask. One may come twice, and the
// zero Backend be among them.
func (s *Spec) Backends() iter.Seq[Backend] {
	return func(yield func(Backend) bool) {
		if !yield(s.Backend) {
			return
		}
		for i := range s.Choices {
			if !yield(s.Choices[i].Backend) {
				return
			}
		}
		for _, step := range s.Steps {
			a, ok := step.(Asking)
			if !ok {
				continue
			}
			for _, b := range a.Backends() {
				if !yield(b) {
					return
				}
			}
		}
	}
}
