package route_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

func TestLookupByRank(t *testing.T) {
	first := func(priority int, s route.Spec) route.Spec {
		s.Priority = priority
		return s
	}
	specs := []route.Spec{
		rule("a.example", "/foo", route.Begins, "begins"),
		rule("a.example", "/foo", route.Prefix, "prefix"),
		rule("a.example", "/foo", route.Exact, "exact"),
		rule("a.example", "/foo.*x", route.Regexp, "regexp"),
		rule("a.example", "/foo/b", route.Begins, "longer"),
		first(100, rule("a.example", "/first", route.Prefix, "first")),
		rule("a.example", "/first/and/longer", route.Exact, "never"),
		first(-1, rule("a.example", "/", route.Begins, "last")),
		rule("*.example", "/foo/bar/baz", route.Exact, "wild"),
	}
	for i := range 20 { // more than are compared one by one
		specs = append(specs, rule("many.example", fmt.Sprintf("/p%d", i), route.Begins, fmt.Sprintf("p%d", i)))
	}
	table, conflicts := route.NewTable(specs)
	if len(conflicts) != 0 {
		t.Fatal(conflicts)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"a.example", "/foo", "exact"},
		{"a.example", "/foo/", "prefix"},
		{"a.example", "/foobar", "begins"},
		{"a.example", "/foox", "regexp"},  // the longer one
		{"a.example", "/FOO/X", "regexp"}, // in any case
		{"a.example", "/foo/bar", "longer"},
		{"a.example", "/foo/bx", "regexp"},
		{"a.example", "/foo/bar/baz", "longer"}, // the host first
		{"a.example", "/first/and/longer", "first"},
		{"a.example", "/x/foox", "last"}, // from the begin on
		{"a.example", "/other", "last"},
		{"many.example", "/p1", "p1"},
		{"many.example", "/p12345", "p12"},
		{"many.example", "/p", ""},
	} {
		if got := answer(table.Lookup([]byte(tt.host), []byte(tt.path))); got != tt.want {
			t.Errorf("%s%s: got %q, want %q", tt.host, tt.path, got, tt.want)
		}
	}
}

func TestCheckRegexp(t *testing.T) {
	for expr, good := range map[string]bool{"/a(b|c)$": true, "(?-i:/A)": true, "/a)(b": false, "/a(": false, "/a)|(?:b": false} {
		if err := route.CheckRegexp(expr); (err == nil) != good {
			t.Errorf("%s: %v", expr, err)
		}
	}
	table, _ := route.NewTable([]route.Spec{rule("", "/a)|(?:b", route.Regexp, "broken")})
	if r := table.Lookup([]byte("h"), []byte("/a")); r != nil {
		t.Error("a broken expression matches")
	}
}

func TestEntrypoints(t *testing.T) {
	at := func(s route.Spec, names ...string) route.Spec {
		s.Entrypoints = names
		return s
	}
	table, conflicts := route.NewTable([]route.Spec{
		rule("a.example", "/", route.Prefix, "b-everywhere"),
		at(rule("a.example", "/", route.Prefix, "a-https"), "https"),
		at(rule("a.example", "/", route.Prefix, "c-http"), "http"),
		at(rule("a.example", "/only", route.Begins, "only"), "http", "https"),
	})
	for _, tt := range []struct{ entrypoint, path, want string }{
		{"http", "/", "b-everywhere"},
		{"https", "/", "a-https"},
		{"other", "/", "b-everywhere"},
		{"http", "/only", "only"},
		{"https", "/only", "only"},
		{"other", "/only", "b-everywhere"},
	} {
		if got := answer(table.At(tt.entrypoint).Lookup([]byte("a.example"), []byte(tt.path))); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.entrypoint, tt.path, got, tt.want)
		}
	}
	var got []string
	for _, c := range conflicts {
		got = append(got, fmt.Sprint(answer(&route.Route{Spec: &c.Winner}), " over ", answer(&route.Route{Spec: &c.Loser}), c.Entrypoints))
	}
	if d := cmp.Diff([]string{"a-https over b-everywhere[https]", "b-everywhere over c-http[]"}, got); d != "" {
		t.Errorf("conflicts (-want +got):\n%s", d)
	}
	if n := len(table.Routes()); n != 3 {
		t.Errorf("%d routes", n)
	}
}

// asking is a Step with a backend of its own.
type asking route.Backend

func (asking) Kind() string                { return "asking" }
func (a asking) Backends() []route.Backend { return []route.Backend{route.Backend(a)} }

func TestBackends(t *testing.T) {
	s := rule("a.example", "/", route.Prefix, "web")
	s.Choices = []route.Choice{{Backend: route.Backend{Service: "canary"}, Share: .1}, {Header: "X", Never: true}}
	s.Steps = []route.Step{asking{Service: "auth"}}
	table, _ := route.NewTable([]route.Spec{s, s})
	var got []string
	for _, b := range table.Backends() {
		got = append(got, b.Service)
	}
	if d := cmp.Diff([]string{"auth", "canary", "web"}, got); d != "" {
		t.Error(d)
	}
}
