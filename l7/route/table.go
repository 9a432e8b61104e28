package route

import (
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
