package l7_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// traefikIngress is an Ingress of Traefik 1.7 as it stands in clusters: with its
// annotations, and for the host and the paths that follow.
const traefikIngress = `
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: %[1]s
  namespace: shop
  annotations: {%[2]s}
spec:
  ingressClassName: portico
  rules:
  - host: %[1]s.example
    http:
      paths: [%[3]s]
`

const traefikService = `
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: shop, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
endpoints: [%[2]s]
ports: [{port: %[3]d}]
`

const traefikUsers = `
---
apiVersion: v1
kind: Secret
metadata: {name: users, namespace: shop}
type: Opaque
stringData: {auth: "test:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="}
`

// TestTraefik17: what Ingresses ask for in the words of Traefik 1.7 is what
// clients get.
func TestTraefik17(t *testing.T) {
	echo := func(name string) int {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, name, " ", r.URL.Path, " ", r.Header.Get("X-Forwarded-Prefix"))
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().(*net.TCPAddr).Port
	}
	main, canary := echo("main"), echo("canary")
	to := func(path, service string) string {
		return fmt.Sprintf("{path: %s, pathType: ImplementationSpecific, backend: {service: {name: %s, port: {number: 80}}}}", path, service)
	}
	const own = "traefik.ingress.kubernetes.io/"
	at := func(host, annotations string, paths ...string) string {
		return fmt.Sprintf(traefikIngress, host, annotations, strings.Join(paths, ", "))
	}
	one, two := `{addresses: ["127.0.0.1"]}`, `{addresses: ["127.0.0.1"]}, {addresses: ["127.0.0.2"]}, {addresses: ["127.0.0.3"]}`
	manifests := func(mains string) string {
		return fmt.Sprintf(traefikService, "main", mains, main) + fmt.Sprintf(traefikService, "canary", one, canary) + traefikUsers +
			at("plain", "", to("/foo", "main")) +
			at("strip", own+"rule-type: PathPrefixStrip", to("/app", "main")) +
			at("https", own+"redirect-entry-point: https, "+own+"rule-type: PathPrefixStrip", to("/app", "main")) +
			at("auth", own+"auth-type: basic, "+own+"auth-secret: users", to("/", "main")) +
			at("inside", own+"frontend-entry-points: https", to("/", "main")) +
			at("weights", own+`service-weights: "canary: 25%"`, to("/", "main"), to("/", "canary")) +
			at("shared", "", to("/", "main"), to("/", "canary"))
	}
	dir, plain, secure := t.TempDir(), freeAddr(t), freeAddr(t)
	write := func(mains string) {
		if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(manifests(mains)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(one)
	_, port, _ := net.SplitHostPort(secure)
	runL7(t, valid(t, fmt.Sprintf("[kubernetes]\nmanifests = %q\n[[entrypoint]]\nname = 'http'\nlisten = %q\n[[entrypoint]]\nname = 'https'\nlisten = %q\ntls = {}", dir, plain, secure)))
	soon(t, func() bool { return ask(t, plain, "nowhere.example/", "") == "404" })

	asks(t, plain, "plain.example/foobar", "", "200 main /foobar ")
	asks(t, plain, "plain.example/fo", "", "404")
	asks(t, plain, "strip.example/app/x", "", "200 main /x /app")
	asks(t, plain, "https.example/app/x", "", "302 https://https.example:"+port+"/app/x")
	asks(t, plain, "auth.example/", "", "401")
	asks(t, plain, "inside.example/", "", "404")

	share := func(host string) (canaries int) {
		for range 100 {
			if strings.HasPrefix(ask(t, plain, host+".example/", ""), "200 canary") {
				canaries++
			}
		}
		return canaries
	}
	if n := share("weights"); n < 23 || n > 27 {
		t.Errorf("a canary of 25 %% got %d of 100 requests", n)
	}
	if n := share("shared"); n < 48 || n > 52 {
		t.Errorf("one endpoint of two got %d of 100 requests", n)
	}
	write(two)
	soon(t, func() bool { n := share("shared"); return n > 22 && n < 28 })
}

// soon waits until f holds.
func soon(t *testing.T, f func() bool) {
	t.Helper()
	for first := time.Now(); !f(); {
		if time.Since(first) > 10*time.Second {
			t.Fatal("it does not come to that")
		}
	}
}
