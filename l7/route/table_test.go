package route_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

// rule makes a Spec whose backend's Service is named name.
func rule(host, path string, m route.Match, name string) route.Spec {
	return route.Spec{
		Host: host, Path: path, Match: m,
		Backend: route.Backend{Namespace: "ns", Service: name, Port: "80"},
		Origin:  route.Origin{Kind: "Ingress", Namespace: "ns", Name: name},
	}
}

func answer(r *route.Route) string {
	if r == nil {
		return ""
	}
	return r.Backend.Service
}

func TestLookup(t *testing.T) {
	const (
		E = route.Exact
		P = route.Prefix
		D = route.Default
	)
	table, conflicts := route.NewTable([]route.Spec{
		rule("a.example", "/", P, "root"),
		rule("a.example", "/foo", P, "foo"),
		rule("a.example", "/foo", E, "foo-exact"),
		rule("a.example", "/foo/bar/", P, "bar"),
		rule("a.example", "/foo/bar", E, "bar-exact"),
		rule("a.example", "/slash/", E, "slash-exact"),
		rule("b.example", "/only", P, "only"),
		rule("*.example", "/", P, "wild"),
		rule("x.y.example", "/x", P, "deep"),
		rule("*.y.example", "/w", P, "wild-y"),
		rule("", "/any", P, "any"),
		rule("", "/", D, "default"),
		rule("c.test", "/c", P, "c"),
		rule("c.test", "/", D, "c-default"),
	})
	if len(conflicts) != 0 {
		t.Fatal(conflicts)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"a.example", "/", "root"},
		{"a.example", "/x", "root"},
		{"a.example", "/foo", "foo-exact"},
		{"a.example", "/foo/", "foo"},
		{"a.example", "/foo/x", "foo"},
		{"a.example", "/foobar", "root"},
		{"a.example", "/FOO", "root"},
		{"a.example", "/foo/bar", "bar-exact"}, // an equal path outranks a Prefix with a slash more
		{"a.example", "/foo/bar/", "bar"},
		{"a.example", "/foo/bar/baz", "bar"},
		{"a.example", "/foo/barbaz", "foo"},
		{"a.example", "/foo%2Fbar", "root"},
		{"a.example", "/slash/", "slash-exact"},
		{"a.example", "/slash", "root"},
		{"b.example", "/only/x", "only"},
		{"b.example", "/any", "wild"}, // handed on: host, wildcard, no host
		{"z.example", "/", "wild"},
		{"y.example", "/w", "wild"},
		{"y.z.example", "/", "default"}, // a wildcard is one label
		{"example", "/", "default"},
		{".example", "/", "default"},
		{"x.y.example", "/x", "deep"},
		{"x.y.example", "/w", "wild-y"},
		{"x.y.example", "/any/x", "any"},
		{"c.test", "/c", "c"},
		{"c.test", "/any", "any"}, // any rule is preferred to any default
		{"c.test", "/other", "c-default"},
		{"", "/any", "any"},
		{"", "/", "default"},
		{"a.example", "*", ""},
		{"a.example", "", ""},
	} {
		if got := answer(table.Lookup([]byte(tt.host), []byte(tt.path))); got != tt.want {
			t.Errorf("%s%s: got %q, want %q", tt.host, tt.path, got, tt.want)
		}
	}
}

// TestNoPath: the "*" of OPTIONS names no resource, and no rule is for it.
func TestNoPath(t *testing.T) {
	table, _ := route.NewTable([]route.Spec{rule("a.example", "/", route.Prefix, "root")})
	for _, path := range []string{"", "*"} {
		r, n := table.Lookup([]byte("a.example"), []byte(path)), table.At("http").Number([]byte("a.example"), []byte(path))
		if r != nil || n >= 0 {
			t.Errorf("%q: route %v, number %d", path, r, n)
		}
	}
}

func TestLookupWithoutRules(t *testing.T) {
	table, _ := route.NewTable(nil)
	if r := table.Lookup([]byte("a.example"), []byte("/")); r != nil {
		t.Fatal(r)
	}
}

func TestConflicts(t *testing.T) {
	at := func(s route.Spec, hour int) route.Spec {
		s.Origin.Created = time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)
		return s
	}
	specs := []route.Spec{
		at(rule("a.example", "/x", route.Prefix, "young"), 2),
		at(rule("a.example", "/x", route.Prefix, "old"), 1),
		at(rule("a.example", "/x", route.Exact, "exact"), 3),
		at(rule("a.example", "/y", route.Prefix, "b"), 1),
		at(rule("a.example", "/y", route.Prefix, "a"), 1),
		at(rule("a.example", "/z", route.Prefix, "short"), 1),
		at(rule("a.example", "/z/", route.Prefix, "long"), 2),
		at(rule("", "/", route.Default, "default2"), 2),
		at(rule("", "/", route.Default, "default1"), 1),
		at(rule("", "/", route.Prefix, "anyroot"), 3),
	}
	var first []string
	for range 20 {
		rand.Shuffle(len(specs), func(i, j int) { specs[i], specs[j] = specs[j], specs[i] })
		table, conflicts := route.NewTable(specs)
		var got []string
		for _, c := range conflicts {
			got = append(got, c.Winner.Backend.Service+" over "+c.Loser.Backend.Service)
		}
		want := []string{"default1 over default2", "old over young", "a over b", "long over short"}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("conflicts (-want +got):\n%s", d)
		}
		if got := answer(table.Lookup([]byte("n"), []byte("/q"))); got != "anyroot" {
			t.Fatalf("a default won over a rule: %s", got)
		}
		var routes []string
		for _, r := range table.Routes() {
			routes = append(routes, fmt.Sprintf("%s%s %s %s", r.Host, r.Path, r.Match, r.Backend))
		}
		if first == nil {
			first = routes
		}
		if d := cmp.Diff(first, routes); d != "" {
			t.Fatalf("routes depend on the order of specs:\n%s", d)
		}
		if n := len(table.Backends()); n != 6 {
			t.Fatalf("%d backends: %v", n, table.Backends())
		}
	}
}

// linear is the dumb twin of Table: it compares every rule with the request
// and keeps the best, as the documentation words it.
func linear(specs []route.Spec, entrypoint, host, path string) string {
	best := -1
	for i, s := range specs {
		at := len(s.Entrypoints) == 0 || slices.Contains(s.Entrypoints, entrypoint)
		if at && matchesHost(s, host) && matchesPath(s, path) && (best < 0 || better(s, specs[best])) {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	return specs[best].Backend.Service
}

func matchesHost(s route.Spec, host string) bool {
	if rest, ok := strings.CutPrefix(s.Host, "*"); ok {
		label, ok := strings.CutSuffix(host, rest)
		return ok && label != "" && !strings.Contains(label, ".")
	}
	return s.Host == "" || s.Host == host
}

func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func matchesPath(s route.Spec, path string) bool {
	switch s.Match {
	case route.Exact:
		return s.Path == path
	case route.Begins:
		return strings.HasPrefix(path, s.Path)
	case route.Regexp:
		return regexp.MustCompile("(?i)^(?:" + s.Path + ")").MatchString(path)
	}
	want, have := elements(s.Path), elements(path)
	return len(have) >= len(want) && strings.Join(have[:len(want)], "/") == strings.Join(want, "/")
}

func better(a, b route.Spec) bool {
	score := func(s route.Spec) []int {
		n := make([]int, 6)
		if s.Match != route.Default {
			n[0] = 1
		}
		if s.Host != "" {
			n[1] = 1
		}
		if s.Host != "" && s.Host[0] != '*' {
			n[1] = 2
		}
		n[2] = s.Priority
		if s.Priority == 0 {
			n[2] = len(s.Path)
		}
		if s.Priority == 0 && s.Match == route.Prefix {
			n[2] = max(1, len(strings.TrimSuffix(s.Path, "/")))
		}
		n[3] = map[route.Match]int{route.Exact: 4, route.Prefix: 3, route.Begins: 2, route.Regexp: 1}[s.Match]
		n[4] = len(s.Path)
		return n
	}
	x, y := score(a), score(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return a.Origin.Name < b.Origin.Name
}

// A world is rules and requests that have something to do with each other.
type world struct {
	pick  func(n int) int
	specs []route.Spec
}

func (w *world) one(s ...string) string { return s[w.pick(len(s))] }

func (w *world) path() string {
	p := ""
	for range w.pick(4) {
		p += "/" + w.one("a", "b", "ab")
	}
	return p + w.one("/", "")
}

// rules adds n rules: plain ones of Kubernetes, or of every kind.
func (w *world) rules(n int, every bool) {
	for i := range n {
		m, p := route.Match(w.pick(3)), w.path()
		if every {
			m = route.Match(w.pick(5))
		}
		if m == route.Default || p == "" {
			p = "/"
		}
		if m == route.Regexp {
			p = w.one("/a.*b", "/[ab]$", "/A", "/(a|b)/b", "/b|/a", "")
		}
		s := rule(w.one("", "x.y", "*.y", "*.x.y", "a.x.y", "y", "*.z"), p, m, fmt.Sprintf("s%02d", i))
		if every {
			s.Priority = []int{0, 0, 0, 1, 2, 5, 30, -1}[w.pick(8)]
			s.Entrypoints = [][]string{nil, nil, nil, {"p"}, {"q", "p"}}[w.pick(5)]
		}
		w.specs = append(w.specs, s)
	}
}

// compare fails t unless requests find the same route by Table and by linear.
func (w *world) compare(t *testing.T, requests int) {
	t.Helper()
	table, conflicts := route.NewTable(w.specs)
	never := map[string]bool{} // each has a name of its own
	for _, c := range conflicts {
		if len(c.Entrypoints) == 0 {
			never[c.Loser.Origin.Name] = true
		}
	}
	if n := len(table.Routes()); n+len(never) != len(w.specs) {
		t.Fatalf("%d routes and %d conflicts of %d specs", n, len(conflicts), len(w.specs))
	}
	for range requests {
		e, h, p := w.one("p", "q", "r"), w.one("", "x.y", "y", "a.x.y", "b.x.y", "q", "c.z", "b.a.x.y"), w.path()
		if p == "" {
			p = "/"
		}
		found := table.At(e).Lookup([]byte(h), []byte(p))
		if got, want := answer(found), linear(w.specs, e, h, p); got != want {
			t.Fatalf("%s %s%s: got %q, want %q of\n%+v", e, h, p, got, want, w.specs)
		}
		n := table.At(e).Number([]byte(h), []byte(p))
		if found == nil && n >= 0 || found != nil && n != found.Number() {
			t.Fatalf("%s %s%s: number %d is not that of %q of\n%+v", e, h, p, n, answer(found), w.specs)
		}
	}
}

func TestLookupAgainstLinear(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 4000 {
		w := &world{pick: r.IntN}
		w.rules(r.IntN(40), round%2 == 1)
		w.compare(t, 50)
	}
}

func FuzzLookup(f *testing.F) {
	f.Add([]byte("\x01\x02\x03 some rules"), true)
	f.Add([]byte("\x10\x20\x30\x40 and more of them"), false)
	f.Fuzz(func(t *testing.T, data []byte, every bool) {
		w := &world{pick: func(n int) int {
			if len(data) == 0 {
				return 0
			}
			c := data[0]
			data = data[1:]
			return int(c) % n
		}}
		w.rules(w.pick(40), every)
		w.compare(t, 1+len(data)/6)
	})
}

// hosts returns a table of n hosts with ten paths each.
func hosts(n int) *route.Table {
	var specs []route.Spec
	for i := range n {
		for j := range 10 {
			specs = append(specs, rule(fmt.Sprintf("host%d.example.com", i), fmt.Sprintf("/api/v%d", j), route.Prefix, "s"))
		}
	}
	table, _ := route.NewTable(specs)
	return table
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := hosts(100)
	host, path := []byte("host42.example.com"), []byte("/api/v7/accounts/12345/orders")
	if n := testing.AllocsPerRun(100, func() {
		if table.Lookup(host, path) == nil {
			t.Fatal("no route")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		table := hosts(n)
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			names := make([][]byte, min(n, 1024))
			for i := range names {
				names[i] = fmt.Appendf(nil, "host%d.example.com", i*n/len(names))
			}
			path := []byte("/api/v7/accounts/12345/orders")
			i := 0
			for b.Loop() {
				if table.Lookup(names[i%len(names)], path) == nil {
					b.Fatal("no route")
				}
				i++
			}
		})
	}
}

func BenchmarkNewTable(b *testing.B) {
	specs := make([]route.Spec, 0, 100000)
	for _, r := range hosts(10000).Routes() {
		specs = append(specs, *r.Spec)
	}
	for b.Loop() {
		route.NewTable(specs)
	}
}
