package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// sayer is a backend whose one endpoint says its name.
func sayer(t *testing.T, name string, m map[route.Backend][]route.Endpoint) route.Backend {
	b := route.Backend{Namespace: "default", Service: name, Port: "80"}
	m[b] = endpoints(handler(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name) }))[web]
	return b
}

// TestChoices shows which of its requests a route sends elsewhere.
func TestChoices(t *testing.T) {
	eps := map[route.Backend][]route.Endpoint{}
	main, canary, beta := sayer(t, "main", eps), sayer(t, "canary", eps), sayer(t, "beta", eps)
	gone := route.Backend{Namespace: "default", Service: "gone", Port: "80"}
	header := func(b route.Backend, value, pattern string) route.Choice {
		return route.Choice{Backend: b, Header: "X-Canary", Value: value, Pattern: pattern}
	}
	share := func(b route.Backend, s float64) route.Choice { return route.Choice{Backend: b, Share: s} }
	for _, tc := range []struct {
		name    string
		choices []route.Choice
		fields  string // of each request
		want    map[string]int
	}{
		{"none", nil, "", map[string]int{"main": 100}},
		{"a header's value", []route.Choice{header(canary, "always", "")}, "x-canary: always\r\n", map[string]int{"canary": 100}},
		{"another value", []route.Choice{header(canary, "always", "")}, "X-Canary: never\r\n", map[string]int{"main": 100}},
		{"no header", []route.Choice{header(canary, "always", "")}, "", map[string]int{"main": 100}},
		{"neither value nor pattern", []route.Choice{header(canary, "", "")}, "X-Canary:\r\n", map[string]int{"main": 100}},
		{"a pattern", []route.Choice{header(canary, "", "you|me")}, "X-Canary: me\r\n", map[string]int{"canary": 100}},
		{"a pattern is for the whole", []route.Choice{header(canary, "", "you|me")}, "X-Canary: meme\r\n", map[string]int{"main": 100}},
		{"a cookie", []route.Choice{{Backend: canary, Cookie: "c", Value: "1"}}, "Cookie: a=b; c=1\r\n", map[string]int{"canary": 100}},
		{"the first", []route.Choice{header(canary, "", ".*"), header(beta, "x", "")}, "X-Canary: x\r\n", map[string]int{"canary": 100}},
		{"never", []route.Choice{{Header: "X-Canary", Value: "never", Never: true}, share(canary, 1)}, "X-Canary: never\r\n", map[string]int{"main": 100}},
		{"a share", []route.Choice{share(canary, 0.2)}, "", map[string]int{"canary": 20, "main": 80}},
		{"two shares", []route.Choice{share(canary, 0.25), share(beta, 0.5)}, "", map[string]int{"canary": 25, "beta": 50, "main": 25}},
		{"all", []route.Choice{share(canary, 0.75), share(beta, 0.25)}, "", map[string]int{"canary": 75, "beta": 25}},
		{"a share behind a header", []route.Choice{header(beta, "x", ""), share(canary, 0.5)}, "", map[string]int{"canary": 50, "main": 50}},
		{"a share without endpoints", []route.Choice{share(gone, 0.5)}, "", map[string]int{"main": 100}},
		{"a header without endpoints", []route.Choice{header(gone, "x", "")}, "X-Canary: x\r\n", map[string]int{"503": 100}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, proxy.Options{}, proxy.Entrypoint{})
			e.SetEndpoints(eps)
			p := e.dial(t)
			got := map[string]int{}
			for i := range 100 {
				if i%10 == 0 { // the shares go on when tables change
					table, _ := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Backend: main, Choices: tc.choices}})
					e.SetRoutes(table)
				}
				resp, body := p.say("GET / HTTP/1.1\r\nHost: example.com\r\n" + tc.fields + "\r\n").hear("GET")
				if resp.StatusCode != 200 {
					body = fmt.Sprint(resp.StatusCode)
				}
				got[body]++
			}
			for name, n := range got {
				if want := tc.want[name]; max(n, want)-min(n, want) > 1 {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}
		})
	}
}

// TestChoicesOfNoBackend shows that a route that is closed stays so.
func TestChoicesOfNoBackend(t *testing.T) {
	eps := map[route.Backend][]route.Endpoint{}
	canary := sayer(t, "canary", eps)
	e := start(t, proxy.Options{}, proxy.Entrypoint{})
	e.SetEndpoints(eps)
	table, _ := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Choices: []route.Choice{{Backend: canary, Share: 1}}}})
	e.SetRoutes(table)
	if resp, _ := e.dial(t).say(getRoot).hear("GET"); resp.StatusCode != 503 {
		t.Errorf("got %v", resp)
	}
}

// TestChoicesStick shows that a client whom a cookie binds stays where it is.
func TestChoicesStick(t *testing.T) {
	eps := map[route.Backend][]route.Endpoint{}
	main, canary := sayer(t, "main", eps), sayer(t, "canary", eps)
	e := start(t, with(func(p *backend.Policy) { p.Sticky.Cookie = "where" }), proxy.Entrypoint{})
	e.SetEndpoints(eps)
	table, _ := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Backend: main, Choices: []route.Choice{{Backend: canary, Share: 0.5}}}})
	e.SetRoutes(table)
	first := map[string]bool{}
	for range 10 {
		p := e.dial(t)
		resp, where := p.say(getRoot).hear("GET")
		first[where] = true
		cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		for range 10 {
			if _, got := p.say("GET / HTTP/1.1\r\nHost: example.com\r\nCookie: " + cookie + "\r\n\r\n").hear("GET"); got != where {
				t.Fatalf("went to %s, and then to %s", where, got)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"main": true, "canary": true}, first); diff != "" {
		t.Error(diff)
	}
}

// TestEntrypointsHaveRoutes shows that a route may be one of some entrypoints.
func TestEntrypointsHaveRoutes(t *testing.T) {
	eps := map[route.Backend][]route.Endpoint{}
	inner, outer := sayer(t, "inner", eps), sayer(t, "outer", eps)
	table, conflicts := route.NewTable([]route.Spec{
		{Host: "example.com", Path: "/", Backend: outer},
		{Host: "example.com", Path: "/admin", Backend: inner, Entrypoints: []string{"lan", "vpn"}},
	})
	if conflicts != nil {
		t.Fatal(conflicts)
	}
	for entry, want := range map[string]string{"lan": "inner", "vpn": "inner", "web": "outer"} {
		e := start(t, proxy.Options{}, proxy.Entrypoint{Name: entry})
		e.SetEndpoints(eps)
		e.SetRoutes(table)
		if _, got := e.dial(t).say("GET /admin HTTP/1.1\r\nHost: example.com\r\n\r\n").hear("GET"); got != want {
			t.Errorf("%s leads to %s, want %s", entry, got, want)
		}
	}
}
