package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portico-lb/portico/l7"
)

// shop is beside the manifest of startProxy: a rule that has a Service, one that
// has none, one that an older object has already, and a wildcard.
const shop = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: default }
spec:
  ingressClassName: portico
  rules:
  - host: shop.example
    http:
      paths:
      - { path: /, pathType: Prefix, backend: { service: { name: a, port: { number: 80 } } } }
      - { path: /cart, pathType: Exact, backend: { service: { name: cart, port: { number: 80 } } } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: late, namespace: default, creationTimestamp: "2026-01-01T00:00:00Z" }
spec:
  ingressClassName: portico
  rules:
  - host: shop.example
    http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: other, port: { number: 80 } } } } ] }
  - host: "*.example"
    http: { paths: [ { path: /cart, pathType: Prefix, backend: { service: { name: a, port: { number: 80 } } } } ] }
`

func contains(out, want string) error {
	if !strings.Contains(out, want) {
		return fmt.Errorf("%q is not in\n%s", want, out)
	}
	return nil
}

// ask runs a command of the CLI beside p, and returns its exit status and what
// it prints, blanks folded.
func (p *process) ask(args ...string) (int, string) {
	var out bytes.Buffer
	code := run(p.t.Context(), env{stdout: &out, stderr: &out, args: append(args, "--config", p.conf)})
	var lines []string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); len(fields) > 0 {
			lines = append(lines, strings.Join(fields, " "))
		}
	}
	return code, strings.Join(lines, "\n")
}

func startShop(t *testing.T) *process {
	p := startProxy(t, freeAddr(t), freeAddr(t))
	p.write("manifests/shop.yaml", shop)
	p.reload <- syscall.SIGHUP
	p.eventually("the shop", func() error {
		_, out := p.ask("routes", "shop.example")
		return contains(out, "/cart")
	})
	return p
}

func TestRoutes(t *testing.T) {
	p := startShop(t)
	code, out := p.ask("routes")
	for _, want := range []string{
		"HOST PATH MATCH BACKEND ENDPOINTS STEPS FROM",
		"*.example /cart Prefix default/a:80 1 - Ingress default/late",
		"a.example / Prefix default/a:80 1 - Ingress default/a",
		"shop.example /cart Exact default/cart:80 0 - Ingress default/web",
	} {
		if err := contains(out, want); err != nil || code != 0 {
			t.Errorf("exit status %d: %v", code, err)
		}
	}
	if _, out := p.ask("routes", "wildcard-nobody-has"); strings.Count(out, "\n") != 0 {
		t.Errorf("of no route: %s", out)
	}
	_, out = p.ask("routes", "--json", "cart")
	var all []l7.RouteStatus
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestExplain(t *testing.T) {
	p := startShop(t)
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"http://shop.example/x%41?q=1"}, 0, []string{
			"shop.example/xA at entrypoint http", "won by Ingress default/web: shop.example Prefix / -> default/a:80", "0 requests, 0 in flight",
			"Ingress default/late: shop.example Prefix / -> default/other:80: the very same rule, the older object has it"}},
		{[]string{"http://SHOP.example:80/cart", "-H", "Accept: */*"}, 1, []string{
			"won by Ingress default/web: shop.example Exact /cart", "! it has no endpoint: the answer is 503", "! Service default/cart: is asked for but does not exist",
			"shop.example Prefix / -> default/a:80: the longer path first", "*.example Prefix /cart -> default/a:80: the exact host before a wildcard host"}},
		{[]string{"http://192.0.2.1/cart", "-H", "Host: shop.example"}, 1, []string{"won by Ingress default/web: shop.example Exact /cart"}},
		{[]string{"http://nobody.test/"}, 1, []string{"answered 404: no route for this host and path"}},
		{[]string{"ftp://shop.example/"}, 1, []string{`"ftp://shop.example/" is no URL of a request`}},
		{[]string{"https://shop.example/"}, 1, []string{"no entrypoint speaks https"}},
		{[]string{"http://shop.example/", "--entrypoint", "admin"}, 1, []string{`there is no entrypoint "admin"`}},
		{[]string{"http://shop.example/%00"}, 1, []string{"it is answered 400"}},
		{[]string{"http://shop.example/", "-H", "Accept"}, 2, []string{`--header "Accept": want "Name: value"`}},
		{nil, 2, []string{"explain takes one URL"}},
	} {
		code, out := p.ask(append([]string{"explain"}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%q: exit status %d, want %d", tt.args, code, tt.code)
		}
		for _, want := range tt.want {
			if err := contains(out, want); err != nil {
				t.Errorf("%q: %v", tt.args, err)
			}
		}
	}
}

func TestDiff(t *testing.T) {
	p := startShop(t)
	p.write("new.yaml", strings.NewReplacer("/cart, pathType: Exact", "/basket, pathType: Exact", "path: /, pathType: Prefix", "path: /, pathType: Exact").Replace(shop))
	p.write("broken.yaml", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: }\n")
	file := func(name string) string { return filepath.Join(p.dir, name) }
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{file("manifests")}, 0, []string{"no change: 4 routes"}},
		{[]string{file("new.yaml")}, 1, []string{
			"- shop.example Exact /cart -> default/cart:80 Ingress default/web", "+ shop.example Exact / -> default/a:80 Ingress default/web",
			"! Ingress default/late never answers shop.example Exact /", "! default/cart:80 has no endpoint", "2 added, 0 changed, 2 removed: 4 routes then"}},
		{[]string{"--whole", file("manifests/a.yaml")}, 0, []string{"- *.example Prefix /cart", "0 added, 0 changed, 3 removed: 1 routes then"}},
		{[]string{file("broken.yaml")}, 1, []string{"! " + file("broken.yaml"), "name"}},
		{[]string{file("nothing.yaml")}, 1, []string{"nothing.yaml: no such file or directory"}},
	} {
		code, out := p.ask(append([]string{"diff"}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%q: exit status %d, want %d\n%s", tt.args, code, tt.code, out)
		}
		for _, want := range tt.want {
			if err := contains(out, want); err != nil {
				t.Errorf("%q: %v", tt.args, err)
			}
		}
	}
	if _, out := p.ask("routes", "basket"); strings.Contains(out, "basket") {
		t.Error("diff has changed the routes")
	}
}

// TestStaticRoute serves a route of the configuration without a cluster, and
// changes it by a reload.
func TestStaticRoute(t *testing.T) {
	listen := freeAddr(t)
	p := startProxy(t, listen, freeAddr(t))
	text, err := os.ReadFile(p.conf)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "[l7.kubernetes]")
	p.write("portico.toml", before+fmt.Sprintf(`[[l7.middleware]]
name = "told"
headers = { response = { set = { X-Mill = "yes" } } }
[[l7.route]]
name = "mill"
host = "mill.example"
middlewares = ["told"]
endpoint = [{ address = "127.0.0.1:%d" }]
`, pod(t)))
	p.reload <- syscall.SIGHUP
	p.eventually("the mill", func() error { return p.get(listen, "/", "mill.example") })
	if _, out := p.status(); contains(out, "proxy ready: 1 routes, 1 backends, 1 endpoints") != nil {
		t.Error(out)
	}
	if code, out := p.ask("explain", "http://mill.example/a"); code != 0 || contains(out, "won by route l7.route/mill: mill.example Prefix / -> l7.route/mill:endpoint") != nil {
		t.Errorf("explain %d\n%s", code, out)
	}
	if _, out := p.ask("routes"); contains(out, "mill.example / Prefix l7.route/mill:endpoint 1 headers route l7.route/mill") != nil {
		t.Error(out)
	}
	p.write("portico.toml", before)
	p.reload <- syscall.SIGHUP
	p.eventually("no mill", func() error {
		_, out := p.status()
		return contains(out, "NOT READY: no source of routes: set")
	})
	if err := p.get(listen, "/", "mill.example"); err == nil {
		t.Error("the mill still answers")
	}
}
