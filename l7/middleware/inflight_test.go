package middleware_test

import (
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

// TestInFlight: who has as many under way as he may gets no more until one is
// done.
func TestInFlight(t *testing.T) {
	c := chain(InFlight{Most: 2})
	ask := func(client string) (*Request, bool) {
		r := at(t, 0, client)
		return r, c.Handle(t.Context(), r) == nil
	}
	one, ok := ask("192.0.2.1")
	two, ok2 := ask("192.0.2.1")
	if !ok || !ok2 {
		t.Fatal("refused below the limit")
	}
	refused, ok := ask("192.0.2.1")
	if ok {
		t.Error("a third passes")
	}
	refused.Done(Outcome{Status: 429})
	if _, ok := ask("192.0.2.1"); ok {
		t.Error("one that was refused has freed a place")
	}
	if _, ok := ask("192.0.2.2"); !ok {
		t.Error("another client is refused")
	}
	one.Done(Outcome{})
	one.Done(Outcome{})
	if _, ok := ask("192.0.2.1"); !ok {
		t.Error("refused though one is done")
	}
	if _, ok := ask("192.0.2.1"); ok {
		t.Error("one that is done twice has freed two places")
	}
	two.Done(Outcome{})
}

func TestInFlightSection(t *testing.T) {
	for _, c := range []struct {
		in   InFlightSection
		want string
	}{
		{InFlightSection{Most: 10, Key: "host"}, ""},
		{InFlightSection{}, "most: 0 is out of range: allowed are 1 to 1000000"},
		{InFlightSection{Most: 1, Key: "x"}, `key: "x" is no key: allowed are client, host, header:NAME, user, all`},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
