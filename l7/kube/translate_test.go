package kube

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

var update = flag.Bool("update", false, "rewrite the .routes files in testdata")

// TestTranslate turns every testdata/NAME.yaml into the text of NAME.routes.
// The name says which rule the case shows.
func TestTranslate(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, in := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(in), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			got := translateText(filepath.Base(in), data, nil)
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
				if again := translateText(filepath.Base(in), data, shuffle); again != got {
					t.Fatalf("depends on the order of objects:\n%s", cmp.Diff(got, again))
				}
			}
		})
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

// translateText is everything that becomes of a file, as text.
func translateText(name string, data []byte, change func(*Objects)) string {
	f := &file{}
	p := parseFile(name, data)
	f.manifests, f.faults = p.manifests, p.faults
	manifests, faults := merge(map[string]*file{name: f})
	o := newObjects(manifests, nil)
	if change != nil {
		change(o)
	}
	result := Routes(o, Options{IngressClass: "portico"})
	table, conflicts := route.NewTable(result.Specs)
	endpoints, problems := Endpoints(o, table.Backends())

	var b bytes.Buffer
	section := func(name string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s\n  %s\n", name, strings.Join(lines, "\n  "))
		}
	}
	var routes, conflictLines, endpointLines, tlsLines, problemLines []string
	for _, r := range table.Routes() {
		routes = append(routes, specText(r.Spec))
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

func specText(s route.Spec) string {
	host, backend := s.Host, s.Backend.String()
	if host == "" {
		host = "(any host)"
	}
	if s.Backend == (route.Backend{}) {
		backend = "503"
	}
	return fmt.Sprintf("%s %s %s -> %s, %s", host, s.Path, s.Match, backend, s.Origin)
}
