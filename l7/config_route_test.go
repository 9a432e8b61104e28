package l7_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

const mill = "[[entrypoint]]\nname = 'http'\nlisten = ':80'\n[[middleware]]\nname = 'few'\nin_flight = { most = 2 }\n[backend]\nbalance = 'hash'\nhash_key = 'uri'\n" +
	"[[route]]\nname = 'mill'\nendpoint = [{ address = '192.0.2.1:80' }, { address = '[2001:db8::1]:80', weight = 3 }]\n"

func TestParseRoutes(t *testing.T) {
	c, faults := parse(t, mill+"host = '*.Mill.example'\npath = '/old/../%7Ea'\nmatch = 'exact'\nentrypoints = ['http']\nmiddlewares = ['few']\nbackend = { protocol = 'h2c', timeouts = { dial = '1s' } }")
	if faults != "" || len(c.Routes) != 1 || !c.Kubernetes.None() {
		t.Fatal(faults, c.Routes, c.Kubernetes)
	}
	r := c.Routes[0]
	want := route.Spec{
		Host: "*.mill.example", Path: "/~a", Match: route.Exact, Entrypoints: []string{"http"},
		Backend: route.Backend{Namespace: "l7.route", Service: "mill", Port: "endpoint"},
		Steps:   route.Steps{middleware.InFlight{Most: 2}},
		Origin:  route.Origin{Kind: "route", Namespace: "l7.route", Name: "mill"},
	}
	if diff := cmp.Diff(want, r.Spec); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(r.Endpoints) != 2 || r.Endpoints[0].Weight != 1 || r.Endpoints[1].Addr.String() != "[2001:db8::1]:80" || r.Endpoints[1].Weight != 3 {
		t.Errorf("endpoints %+v", r.Endpoints)
	}
	if p := r.Policy; p.Protocol != route.H2C || p.Timeouts.Dial != time.Second || p.Balance != c.Backend.Balance || p.Timeouts.Idle != c.Backend.Timeouts.Idle {
		t.Errorf("policy %+v, where all have %+v", p, c.Backend)
	}
}

func TestParseMirror(t *testing.T) {
	c, faults := parse(t, mill+"mirror = { service = 'shop/copy:80' }\n"+
		"[[route]]\nname = 'hill'\nendpoint = [{ address = '192.0.2.9:80' }]\nmirror = { route = 'mill', percent = 12.5, max_body = '0' }\n")
	if faults != "" || len(c.Routes) != 2 {
		t.Fatal(faults, c.Routes)
	}
	for i, want := range []middleware.Mirror{
		{To: route.Backend{Namespace: "shop", Service: "copy", Port: "80"}, Percent: 100, Body: 1 << 20},
		{To: c.Routes[0].Spec.Backend, Percent: 12.5},
	} {
		if got := c.Routes[i].Spec.Steps; len(got) != 1 || got[0] != want {
			t.Errorf("route %d: got %+v, want %+v", i, got, want)
		}
	}
}

func TestParseRouteFaults(t *testing.T) {
	for in, want := range map[string]string{
		"[[route]]": "l7.route[0].name: missing: status and log call the route by it\nl7.route[0].endpoint: missing: name at least one address that serves the route",
		mill + "[[route]]\nname = 'mill'\nendpoint = [{ address = '192.0.2.1:80' }, { address = '192.0.2.1:80' }, { address = 'mill:80' }, { address = '0.0.0.0:80' }]": `l7.route[1].name: "mill" is taken by another route: names must differ` + "\n" +
			`l7.route[1].endpoint[1].address: "192.0.2.1:80" stands here twice` + "\n" +
			`l7.route[1].endpoint[2].address: "mill:80" is no endpoint: want ADDRESS:PORT, or [ADDRESS]:PORT of IPv6` + "\n" +
			`l7.route[1].endpoint[3].address: "0.0.0.0:80" is no endpoint: want ADDRESS:PORT, or [ADDRESS]:PORT of IPv6`,
		mill + "host = '192.0.2.1:80'":                                        `l7.route[0].host: "192.0.2.1:80" is no host: want a DNS name, one whose first label is *, or none for all`,
		mill + "path = 'a'":                                                   `l7.route[0].path: "a" is no path: path does not start with a slash`,
		mill + "match = 'regexp'\npath = '/(a'":                               "l7.route[0].path: \"/(a\" is no regular expression: error parsing regexp: missing closing ): `/(a`",
		mill + "match = 'suffix'":                                             `l7.route[0].match: "suffix" is not allowed: want one of prefix, exact, regexp`,
		mill + "entrypoints = ['https']":                                      `l7.route[0].entrypoints[0]: there is no entrypoint "https"`,
		mill + "middlewares = ['many']":                                       `l7.route[0].middlewares[0]: there is no [[l7.middleware]] "many"`,
		mill + "mirror = {}":                                                  "l7.route[0].mirror: want one of service, url and route: who gets the copies",
		mill + "mirror = { service = 'shop/copy:80', route = 'mill' }":        "l7.route[0].mirror: want one of service, url and route: who gets the copies",
		mill + "mirror = { service = 'copy' }":                                `l7.route[0].mirror.service: "copy" is no port of a Service: want such as "shop/pages:80"`,
		mill + "mirror = { route = 'mill' }":                                  `l7.route[0].mirror.route: "mill" is this route itself: want another one`,
		mill + "mirror = { route = 'hill' }":                                  `l7.route[0].mirror.route: there is no [[l7.route]] "hill"`,
		mill + "[[middleware]]\nname = 'copies'\nmirror = { route = 'hill' }": `l7.middleware[1].mirror.route: there is no [[l7.route]] "hill"`,
		mill + "mirror = { service = 'shop/copy:80', percent = 101.0 }":       `l7.route[0].mirror.percent: 101 is out of range: allowed are 0 to 100`,
		mill + "backend = { balance = 'first' }":                              `l7.route[0].backend.balance: "first" is not allowed: want one of round_robin, least_requests, hash`,
	} {
		if _, got := parse(t, in); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", in, got, want)
		}
	}
}
