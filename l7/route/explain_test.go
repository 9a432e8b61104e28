package route_test

import (
	"math/rand/v2"
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

// TestMatchesAgree compares the first of all matches with what a lookup finds,
// over random rules.
func TestMatchesAgree(t *testing.T) {
	hosts := []string{"", "a.test", "*.test", "b.test", "*.a.test"}
	paths := []string{"/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/b"}
	matches := []route.Match{route.Prefix, route.Exact, route.Begins, route.Default, route.Regexp}
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	found := 0
	for range 2000 {
		specs := make([]route.Spec, rng.IntN(12))
		for i := range specs {
			specs[i] = route.Spec{Host: pick(hosts), Path: pick(paths), Match: matches[rng.IntN(len(matches))]}
			if specs[i].Match == route.Default {
				specs[i].Path = "/"
			}
			if rng.IntN(3) == 0 {
				specs[i].Priority = 1 + rng.IntN(9)
			}
		}
		table, _ := route.NewTable(specs)
		for _, host := range []string{"a.test", "b.test", "c.a.test", "other"} {
			for _, path := range paths {
				all, one := table.Matches([]byte(host), []byte(path)), table.Lookup([]byte(host), []byte(path))
				if one == nil != (len(all) == 0) || one != nil && all[0] != one {
					t.Fatalf("%s%s: of %+v, Lookup %+v, Matches %+v", host, path, specs, one, all)
				}
				found += len(all)
			}
		}
	}
	if found == 0 {
		t.Error("nothing matched at all")
	}
}

func TestBeats(t *testing.T) {
	exact := route.Spec{Host: "a.test", Path: "/a", Match: route.Exact}
	prefix := route.Spec{Host: "a.test", Path: "/a"}
	short := route.Spec{Host: "a.test", Path: "/"}
	wild := route.Spec{Host: "*.test", Path: "/a"}
	any := route.Spec{Path: "/a"}
	byDefault := route.Spec{Path: "/", Match: route.Default}
	ranked := route.Spec{Host: "a.test", Path: "/", Match: route.Begins, Priority: 50}
	for _, tt := range []struct {
		specs []route.Spec
		want  string
	}{
		{[]route.Spec{exact, prefix}, "Exact before Prefix"},
		{[]route.Spec{prefix, short}, "the longer path first"},
		{[]route.Spec{prefix, wild}, "the exact host before a wildcard host"},
		{[]route.Spec{wild, any}, "a wildcard host before a rule without a host"},
		{[]route.Spec{any, byDefault}, "a default backend comes after every rule"},
		{[]route.Spec{ranked, exact}, "priority 50 before 2"},
	} {
		table, _ := route.NewTable(tt.specs)
		all := table.Matches([]byte("a.test"), []byte("/a"))
		if len(all) != 2 {
			t.Fatalf("%s: %d matches", tt.want, len(all))
		}
		if got := all[0].Beats(all[1], []byte("a.test")); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestMatchesAtAnEntrypointThatNoRuleNames(t *testing.T) {
	table, _ := route.NewTable([]route.Spec{
		{Host: "a.test", Path: "/a", Match: route.Prefix, Entrypoints: []string{"https"}},
		{Host: "a.test", Path: "/", Match: route.Prefix},
	})
	all := table.At("http").Matches([]byte("a.test"), []byte("/a"))
	if len(all) != 1 || all[0] != table.At("http").Lookup([]byte("a.test"), []byte("/a")) {
		t.Errorf("at http there are %+v, want what Lookup finds alone", all)
	}
}
