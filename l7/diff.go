package l7

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// A Proposal is manifests that may be applied.
type Proposal struct {
	// Files holds YAML or JSON by file name.
	Files map[string][]byte `json:"files"`
	// Whole says that nothing but these objects is to be there.
	Whole bool `json:"whole,omitempty"`
}

// A Difference is what manifests would change.
type Difference struct {
	Added   []route.Spec `json:"added,omitempty"`
	Removed []route.Spec `json:"removed,omitempty"`
	Changed []Change     `json:"changed,omitempty"`
	// Problems, of objects and of manifests, and Conflicts are those that would be
	// new.
	Problems  []kube.Problem   `json:"problems,omitempty"`
	Conflicts []route.Conflict `json:"conflicts,omitempty"`
	// Unready are the backends of added and changed routes that would have no
	// endpoint.
	Unready []route.Backend `json:"unready,omitempty"`
	// Routes is how many there would be.
	Routes int `json:"routes"`
}

// Empty reports whether nothing would change.
func (d Difference) Empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Problems)+len(d.Conflicts) == 0
}

// A Change is a rule that would answer otherwise.
type Change struct {
	Before route.Spec `json:"before"`
	After  route.Spec `json:"after"`
}

// Diff says what p would change. Nothing is changed.
func (l *L7) Diff(p Proposal) (Difference, error) {
	s := l.state.Load()
	if s.table == nil || s.objects() == nil {
		return Difference{}, cmp.Or(s.ready(), errors.New("no objects are known yet"))
	}
	apply := kube.Apply{Files: p.Files, Whole: p.Whole}
	watcher, watched := s.source.(*kube.Watcher)
	if watched {
		apply.Made = time.Now()
	}
	objects, problems := kube.Overlay(s.source.Objects(), apply)
	if watched {
		objects = watcher.Select(objects)
	}
	result := kube.Routes(objects, s.options)
	table, conflicts := route.NewTable(slices.Concat(s.own, result.Specs))
	index := s.endpoints.Another()
	index.Want(slices.DeleteFunc(table.Backends(), func(b route.Backend) bool { return b.Namespace == route.StaticNamespace }), nil)
	index.Update(objects)
	endpoints := index.All()

	var out Difference
	out.Routes = len(table.Routes())
	out.compare(s.table.Routes(), table.Routes())
	for _, problem := range slices.Concat(problems, result.Problems, index.Problems()) {
		if !slices.Contains(s.problems, problem) {
			out.Problems = append(out.Problems, problem)
		}
	}
	for _, c := range conflicts {
		if !slices.ContainsFunc(s.conflicts, func(o route.Conflict) bool { return reflect.DeepEqual(o, c) }) {
			out.Conflicts = append(out.Conflicts, c)
		}
	}
	for _, spec := range out.fresh() {
		b := spec.Backend
		if b.Service != "" && len(endpoints[b]) == 0 && !slices.Contains(out.Unready, b) {
			out.Unready = append(out.Unready, b)
		}
	}
	return out, nil
}

// fresh are the routes that would be new or other.
func (d *Difference) fresh() []route.Spec {
	out := slices.Clone(d.Added)
	for _, c := range d.Changed {
		out = append(out, c.After)
	}
	return out
}

// compare finds the routes that differ, by what they match.
func (d *Difference) compare(before, after []*route.Route) {
	old := make(map[string]*route.Route, len(before))
	for _, r := range before {
		old[matched(r.Spec)] = r
	}
	for _, r := range after {
		key := matched(r.Spec)
		o := old[key]
		delete(old, key)
		switch {
		case o == nil:
			d.Added = append(d.Added, *r.Spec)
		case o.Origin.String() != r.Origin.String() || !sameAnswer(o.Spec, r.Spec):
			d.Changed = append(d.Changed, Change{*o.Spec, *r.Spec})
		}
	}
	for _, r := range before {
		if old[matched(r.Spec)] == r {
			d.Removed = append(d.Removed, *r.Spec)
		}
	}
}

// matched is what a rule matches, in words.
func matched(s *route.Spec) string {
	return fmt.Sprint(s.Host, " ", s.Match, " ", s.Path, " ", strings.Join(s.Entrypoints, ","))
}

// sameAnswer reports whether two rules do the same to a request. When their
// object was made is of no importance.
func sameAnswer(a, b *route.Spec) bool {
	return a.Match == b.Match && a.Path == b.Path && a.Priority == b.Priority && a.Backend == b.Backend &&
		reflect.DeepEqual(a.Choices, b.Choices) && reflect.DeepEqual(a.Steps, b.Steps)
}
