package middleware_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// TestMirrorShare shows that the share of copies is what was asked for, over few
// requests as over many.
func TestMirrorShare(t *testing.T) {
	to := route.Static("copy")
	for _, percent := range []float64{0, 0.1, 1, 10, 33, 50, 99, 100} {
		m := Mirror{To: to, Percent: percent, Body: 7}.New(env())
		copies := 0
		for i := 1; i <= 10_000; i++ {
			var r Request
			if m.Handle(t.Context(), &r) != nil {
				t.Fatal("it answers")
			}
			if len(r.Copies) > 0 {
				copies++
				if r.Copies[0] != (Copy{To: to, Body: 7}) {
					t.Fatalf("%+v", r.Copies)
				}
			}
			if want := float64(i) * percent / 100; math.Abs(float64(copies)-want) > 3 {
				t.Fatalf("%v %%: %d of %d", percent, copies, i)
			}
			if r.Reset(); len(r.Copies) > 0 {
				t.Fatal("the next request is copied for this one")
			}
		}
		if whole := percent == 0 && copies != 0 || percent == 100 && copies != 10_000; whole {
			t.Errorf("%v %%: %d", percent, copies)
		}
	}
}

func TestMirrorSection(t *testing.T) {
	half := 12.5
	service := route.Backend{Namespace: "shop", Service: "copy", Port: "80"}
	for _, c := range []struct {
		in     MirrorSection
		want   Mirror
		faults string
	}{
		{in: MirrorSection{Service: "shop/copy:80"}, want: Mirror{To: service, Percent: 100, Body: 1 << 20}},
		{in: MirrorSection{URL: "http://copy.shop.svc.cluster.local$request_uri", Percent: &half, MaxBody: "0"}, want: Mirror{To: service, Percent: 12.5}},
		{in: MirrorSection{Route: "mill", MaxBody: "16MiB"}, want: Mirror{To: route.Static("mill"), Percent: 100, Body: 16 << 20}},
		{in: MirrorSection{Service: "shop/copy:80", URL: "http://copy.shop.svc"}, faults: "m: want one of service, url and route: who gets the copies"},
		{in: MirrorSection{URL: "https://elsewhere.example"}, faults: `m.url: "https://elsewhere.example" is no URL of a Service: want such as "http://copy.shop.svc:80", and for a backend outside of Kubernetes the route of a [[l7.route]]`},
		{in: MirrorSection{Service: "copy"}, faults: `m.service: "copy" is no port of a Service: want such as "shop/pages:80"`},
	} {
		var faults []string
		p := value.Parser{Bad: func(key, problem string) { faults = append(faults, fmt.Sprintf("%s: %s", key, problem)) }}
		got := c.in.Parse(p.In("m"))
		if f := strings.Join(faults, "\n"); f != c.faults || f == "" && got != c.want {
			t.Errorf("%+v: got %+v and %q, want %+v and %q", c.in, got, f, c.want, c.faults)
		}
	}
}
