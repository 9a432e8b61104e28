package l7_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/middleware"
)

func TestParseMiddlewares(t *testing.T) {
	c, faults := parse(t, "[[middleware]]\nname = 'few'\nin_flight = { most = 2 }\n[[middleware]]\nname = 'https'\nredirect = { scheme = 'https' }")
	want := map[string]middleware.Step{"few": middleware.InFlight{Most: 2}, "https": middleware.Redirect{Scheme: "https"}}
	if diff := cmp.Diff(want, c.Middlewares); faults != "" || diff != "" {
		t.Error(faults, diff)
	}
	for in, want := range map[string]string{
		"[[middleware]]\nin_flight = { most = 2 }":                "l7.middleware[0].name: missing: routes use a middleware by its name",
		"[[middleware]]\nname = 'a, b'\nin_flight = { most = 2 }": `l7.middleware[0].name: "a, b" is no name: want letters, digits, - and _`,
		"[[middleware]]\nname = 'a'\nin_flight = { most = 2 }\n[[middleware]]\nname = 'a'\nin_flight = { most = 0 }": "l7.middleware[1].in_flight.most: 0 is out of range: allowed are 1 to 1000000\n" +
			`l7.middleware[1].name: "a" is taken by another middleware: names must differ`,
	} {
		if _, got := parse(t, in); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", in, got, want)
		}
	}
}
