package kube

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

var update = flag.Bool("update", false, "rewrite the .routes files in testdata")

// TestTranslate turns every testdata/NAME.yaml into the text of NAME.routes.
// The name says which rule the case shows. Those of a dialect are in a folder of
// its name.
func TestTranslate(t *testing.T) {
	for i, name := range Dialects() {
		folder := filepath.Join("testdata", name)
		if Dialect(i) == Spec {
			folder = "testdata"
		}
		cases, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil || len(cases) == 0 {
			t.Fatal("no cases", name, err)
		}
		for _, in := range cases {
			t.Run(name+"/"+strings.TrimSuffix(filepath.Base(in), ".yaml"), func(t *testing.T) { golden(t, in, Dialect(i)) })
		}
	}
}

func golden(t *testing.T, in string, d Dialect) {
	data, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	got := translateAs(d, filepath.Base(in), data, nil)
	golden := strings.TrimSuffix(in, ".yaml") + ".routes"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for range 5 {
		if again := translateAs(d, filepath.Base(in), data, shuffle); again != got {
			t.Fatalf("depends on the order of objects:\n%s", cmp.Diff(got, again))
		}
	}
}

// options are those of the golden files.
func options(d Dialect) Options {
	return Options{
		IngressClass: "portico",
		Dialect:      d,
		Middlewares: map[string]middleware.Step{
			"office": middleware.Allow{Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			"gzip":   middleware.Compress{Encodings: []string{"gzip"}},
		},
		Entrypoints: []Entrypoint{{Name: "http", Scheme: "http", Port: 80}, {Name: "https", Scheme: "https", Port: 443}, {Name: "internal", Scheme: "http", Port: 8080}},
		Policy:      backend.Default(),
	}
}

// shuffle puts the objects into another order, which must not matter.
func shuffle(o *Objects) {
	mix(o.Ingresses)
	mix(o.Classes)
	mix(o.Services)
	mix(o.Slices)
	mix(o.Secrets)
}

func mix[T any](s []T) { rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }

// translateText is everything that becomes of a file by the API alone, as text.
func translateText(name string, data []byte, change func(*Objects)) string {
	return translateAs(Spec, name, data, change)
}

func translateAs(d Dialect, name string, data []byte, change func(*Objects)) string {
	f := &file{}
	p := parseFile(name, data)
	f.manifests, f.faults = p.manifests, p.faults
	manifests, faults := merge(map[string]*file{name: f})
	o := newObjects(manifests, nil)
	if change != nil {
		change(o)
	}
	result := Routes(o, options(d))
	table, conflicts := route.NewTable(result.Specs)
	x := NewEndpointIndex()
	x.SetZone("zone-a")
	x.Want(table.Backends(), nil)
	x.Update(o)
	endpoints, problems := x.All(), x.Problems()

	var b bytes.Buffer
	section := func(name string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s\n  %s\n", name, strings.Join(lines, "\n  "))
		}
	}
	var routes, conflictLines, endpointLines, policyLines, tlsLines, problemLines []string
	for b, p := range result.Policies {
		policyLines = append(policyLines, b.String()+policyText(p))
	}
	slices.Sort(policyLines)
	for _, r := range table.Routes() {
		routes = append(routes, specText(*r.Spec))
	}
	for _, c := range conflicts {
		conflictLines = append(conflictLines, specText(c.Loser)+", loses to "+c.Winner.Origin.String())
	}
	for _, bk := range table.Backends() {
		line := bk.String()
		for _, e := range endpoints[bk] {
			line += " " + endpointText(e)
		}
		endpointLines = append(endpointLines, line)
	}
	for _, s := range result.TLS {
		tlsLines = append(tlsLines, fmt.Sprintf("%s (%d bytes, key %d bytes) for %s, %s", s.Secret, len(s.Cert), len(s.Key), s.Hosts, s.Origin))
	}
	for _, f := range faults {
		problemLines = append(problemLines, f.problem().String())
	}
	for _, p := range slices.Concat(result.Problems, problems) {
		problemLines = append(problemLines, p.String())
	}
	section("routes", routes)
	section("conflicts", conflictLines)
	section("endpoints", endpointLines)
	section("policies", policyLines)
	section("tls", tlsLines)
	section("problems", problemLines)
	return b.String()
}

// endpointText is ADDRESS:PORT, and what else is known.
func endpointText(e route.Endpoint) string {
	s := e.Addr.String()
	if e.Protocol != 0 {
		s += "/" + e.Protocol.String()
	}
	if e.ID != "" {
		s += "=" + e.ID
	}
	if e.Leaving {
		s += " (leaving)"
	}
	return s
}

// specText is a rule as one line, with what makes it more than a host, a path
// and a backend behind that.
func specText(s route.Spec) string {
	host, backend := s.Host, s.Backend.String()
	if host == "" {
		host = "(any host)"
	}
	if s.Backend == (route.Backend{}) {
		backend = "503"
	}
	for _, c := range s.Choices {
		backend += fmt.Sprintf(", %s", choiceText(c))
	}
	text := fmt.Sprintf("%s %s %s -> %s, %s", host, s.Path, s.Match, backend, s.Origin)
	if s.Priority != 0 {
		text += fmt.Sprintf(", priority %d", s.Priority)
	}
	if len(s.Entrypoints) > 0 {
		text += ", at " + strings.Join(s.Entrypoints, " and ")
	}
	for _, step := range s.Steps {
		data, err := json.Marshal(step)
		if err != nil {
			data = []byte(err.Error())
		}
		text += fmt.Sprintf("\n    %s %s", step.Kind(), data)
	}
	return text
}

func choiceText(c route.Choice) string {
	switch {
	case c.Never:
		return fmt.Sprintf("not by %s%s %s%s", c.Header, c.Cookie, c.Value, c.Pattern)
	case c.Header+c.Cookie != "":
		return fmt.Sprintf("%s by %s%s %s%s", c.Backend, c.Header, c.Cookie, c.Value, c.Pattern)
	}
	return fmt.Sprintf("%s %v %%", c.Backend, math.Round(c.Share*1e5)/1e3)
}

// policyText is what of p is not the default.
func policyText(p backend.Policy) string {
	have, common := reflect.ValueOf(p), reflect.ValueOf(backend.Default())
	text := ""
	for i := range have.NumField() {
		if v := have.Field(i); !v.Equal(common.Field(i)) {
			text += fmt.Sprintf(" %s=%+v", have.Type().Field(i).Name, v)
		}
	}
	return text
}
