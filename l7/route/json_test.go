package route_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

type wash struct {
	Times  int    `json:"times"`
	Secret string `json:"-"`
}

func (wash) Kind() string { return "wash" }

// TestJSON reads a Spec as the CLI does that a daemon has written.
func TestJSON(t *testing.T) {
	for _, m := range []route.Match{route.Prefix, route.Exact, route.Default, route.Begins, route.Regexp} {
		written, err := json.Marshal(route.Spec{Host: "a.test", Path: "/a", Match: m, Steps: []route.Step{wash{2, "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		var read route.Spec
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatal(err)
		}
		want := route.Spec{Host: "a.test", Path: "/a", Match: m, Steps: route.Steps{route.Told{Name: "wash", Settings: []byte(`{"times":2}`)}}}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		again, err := json.Marshal(read)
		if err != nil || string(again) != string(written) {
			t.Errorf("%v: %s, before %s", err, again, written)
		}
	}
	if err := new(route.Match).UnmarshalText([]byte("Suffix")); err == nil {
		t.Error("Suffix is a match")
	}
}
