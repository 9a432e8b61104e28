package l7_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
)

// withMiddlewares are two Ingresses of one Service, whose port and Pod's port
// follow.
const withMiddlewares = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {portico.io/middlewares: "once, below, fields, copies"}
spec:
  ingressClassName: portico
  rules:
  - host: shop.example
    http: {paths: [{path: /app, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: typo, namespace: shop, annotations: {portico.io/middlewares: "office"}}
spec:
  ingressClassName: portico
  rules:
  - host: typo.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ["127.0.0.1"], conditions: {ready: true}}]
ports: [{port: %d}]
`

const middlewares = `
[kubernetes]
manifests = %q

[[entrypoint]]
name   = "http"
listen = %q

[[middleware]]
name       = "once"
rate_limit = { key = "header:X-Key", rates = [ { average = 1, period = "1h", burst = 1 } ] }

[[middleware]]
name    = "below"
rewrite = { strip_prefix = ["/app"], redirect_to_slash = true }

[[middleware]]
name    = "fields"
headers = { request = { set = { X-Team = "edge" } }, response = { remove = ["Server"] } }

[[middleware]]
name   = "copies"
mirror = { route = "copy" }

[[route]]
name     = "copy"
host     = "copy.example"
endpoint = [ { address = %[3]q } ]

[[route]]
name        = "mill"
host        = "mill.example"
middlewares = ["copies"]
endpoint    = [ { address = %[3]q } ]
`

// TestMiddlewaresByName: what an Ingress names is done to its requests and to
// no others', goes on over a reload that does not change it, and an Ingress that
// names what is not there serves nobody.
func TestMiddlewaresByName(t *testing.T) {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "secret")
		fmt.Fprint(w, r.URL.Path, " ", r.Header.Get("X-Forwarded-Prefix"), " ", r.Header.Get("X-Team"))
	}))
	defer endpoint.Close()
	copies := make(chan string, 9)
	mirror := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		copies <- fmt.Sprint(r.Host, r.URL.Path, " ", r.Header.Get("X-Team"))
	}))
	defer mirror.Close()
	dir, addr := t.TempDir(), freeAddr(t)
	manifests := fmt.Sprintf(withMiddlewares, endpoint.Listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(middlewares, dir, addr, mirror.Listener.Addr())
	reload := runL7(t, valid(t, config))
	becomes(t, addr, "nowhere.example/", "", "404")

	asks(t, addr, "shop.example/app/x", "a", "200 /x /app edge")
	asks(t, addr, "mill.example/", "a", "200 ")
	got := []string{<-copies, <-copies, <-copies}
	slices.Sort(got)
	if want := []string{"mill.example/ ", "mill.example/ ", "shop.example/x edge"}; !slices.Equal(got, want) {
		t.Errorf("the mirror got %q, want %q: a request of its own, and two copies", got, want)
	}
	asks(t, addr, "shop.example/app", "b", "302 /app/")
	asks(t, addr, "shop.example/app/x", "a", "429")
	asks(t, addr, "typo.example/", "a", "503")

	reload(valid(t, config+"\n[[middleware]]\nname = 'office'\nallow = { sources = ['192.0.2.0/24'] }"))
	becomes(t, addr, "typo.example/", "a", "403")
	asks(t, addr, "shop.example/app/x", "a", "429")

	reload(valid(t, strings.Replace(config, "burst = 1", "burst = 2", 1)))
	becomes(t, addr, "shop.example/app/x", "a", "200 /x /app edge")
}

func valid(t *testing.T, config string) l7.Config {
	t.Helper()
	c, faults := parse(t, config)
	if faults != "" {
		t.Fatal(faults)
	}
	return c
}

// asks gets a page by a key and compares what comes of it.
func asks(t *testing.T, addr, page, key, want string) {
	t.Helper()
	if got := ask(t, addr, page, key); got != want {
		t.Errorf("%s: got %q, want %q", page, got, want)
	}
}

// becomes gets a page by a key until it comes: a reload is under way.
func becomes(t *testing.T, addr, page, key, want string) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := ask(t, addr, page, key)
		if got == want {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: got %q, want %q", page, got, want)
		}
	}
}

// ask gets a page by a key and returns the status, and the body or where a
// redirect leads to.
func ask(t *testing.T, addr, page, key string) string {
	t.Helper()
	host, path, _ := strings.Cut(page, "/")
	r := httptest.NewRequest("GET", "http://"+addr+"/"+path, nil)
	r.RequestURI, r.Host = "", host
	r.Header.Set("X-Key", key)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if s := resp.Header.Get("Server"); s != "" {
		t.Errorf("%s: Server is %q", page, s)
	}
	got := fmt.Sprint(resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusOK:
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		got += " " + string(body)
	case http.StatusFound:
		got += " " + resp.Header.Get("Location")
	}
	return got
}
