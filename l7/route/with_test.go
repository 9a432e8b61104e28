package route_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

// TestWith changes a Table host by host, as it comes, and compares it each time
// with one that is made anew.
func TestWith(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hosts := []string{"", "a.test", "b.test", "*.test", "c.a.test", "*.a.test"}
	have := map[string][]route.Spec{}
	table := &route.Table{}
	shown := map[*route.Route]bool{}
	for step := range 500 {
		changed := map[string][]route.Spec{}
		for range 1 + random.IntN(3) {
			host := hosts[random.IntN(len(hosts))]
			changed[host] = nil
			for i := range random.IntN(6) {
				s := rule(host, []string{"/", "/a", "/a/b"}[random.IntN(3)], route.Match(random.IntN(4)), fmt.Sprintf("s%d-%d", step, i))
				s.Priority = random.IntN(2) * random.IntN(9)
				if random.IntN(3) == 0 {
					s.Entrypoints = []string{[]string{"http", "https"}[random.IntN(2)]}
				}
				changed[host] = append(changed[host], s)
			}
			have[host] = changed[host]
		}
		before := table
		table = before.With(changed)
		var all []route.Spec
		for _, specs := range have {
			all = append(all, specs...)
		}
		whole, conflicts := route.NewTable(all)
		if d := cmp.Diff(specsOf(whole), specsOf(table)); d != "" {
			t.Fatalf("routes (-whole +with):\n%s", d)
		}
		if d := cmp.Diff(conflicts, table.Conflicts()); d != "" {
			t.Fatalf("conflicts (-whole +with):\n%s", d)
		}
		if table.Rules() != len(all) || cmp.Diff(whole.Backends(), table.Backends()) != "" {
			t.Fatalf("%d rules of %d, backends %v and %v", table.Rules(), len(all), table.Backends(), whole.Backends())
		}
		for range 50 {
			host := []string{"a.test", "b.test", "c.a.test", "x.a.test", "x.y"}[random.IntN(5)]
			path := []string{"/", "/a", "/a/b", "/ab"}[random.IntN(4)]
			e := []string{"", "http", "https", "other"}[random.IntN(4)]
			got, want := table.At(e).Lookup([]byte(host), []byte(path)), whole.At(e).Lookup([]byte(host), []byte(path))
			if answer(got) != answer(want) {
				t.Fatalf("%s%s at %q: %s, made anew %s", host, path, e, answer(got), answer(want))
			}
		}
		gone, come := table.Changed(before)
		for _, r := range gone {
			if !shown[r] {
				t.Fatalf("%v was not there", r)
			}
			delete(shown, r)
		}
		for _, r := range come {
			shown[r] = true
		}
		for _, r := range table.Routes() {
			if !shown[r] {
				t.Fatalf("%v has not come", r)
			}
		}
		if len(shown) != len(table.Routes()) {
			t.Fatalf("%d routes, told of %d", len(table.Routes()), len(shown))
		}
	}
}

func specsOf(t *route.Table) (out []route.Spec) {
	for _, r := range t.Routes() {
		out = append(out, *r.Spec)
	}
	return out
}

// BenchmarkWith changes one of 10,000 hosts.
func BenchmarkWith(b *testing.B) {
	var specs []route.Spec
	for i := range 10000 {
		specs = append(specs, rule(fmt.Sprintf("h%d.test", i), "/", route.Prefix, "s"))
	}
	table, _ := route.NewTable(specs)
	b.ReportAllocs()
	for b.Loop() {
		next := table.With(map[string][]route.Spec{"new.test": {rule("new.test", "/", route.Prefix, "new")}})
		if gone, come := next.Changed(table); len(gone) != 0 || len(come) != 1 {
			b.Fatal(gone, come)
		}
	}
}
