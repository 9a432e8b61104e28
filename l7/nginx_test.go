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
)

// TestNginx: what Ingresses ask for in the words of ingress-nginx is what
// clients get.
func TestNginx(t *testing.T) {
	echo := func(name string) int {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name == "auth" && r.Header.Get("X-Key") != "let me in" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprint(w, name, " ", r.URL.Path)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().(*net.TCPAddr).Port
	}
	to := func(path, service string) string {
		return fmt.Sprintf("{path: '%s', pathType: ImplementationSpecific, backend: {service: {name: %s, port: {number: 80}}}}", path, service)
	}
	at := func(host, annotations string, paths ...string) string {
		annotations = strings.ReplaceAll(annotations, "@", "nginx.ingress.kubernetes.io/")
		return fmt.Sprintf(traefikIngress, host, annotations, strings.Join(paths, ", "))
	}
	manifests := traefikUsers +
		at("plain", "", to("/foo", "main")) +
		at("rewrite", "@rewrite-target: /$2", to("/app(/|$)(.*)", "main"), to("/other", "main")) +
		at("forced", `@force-ssl-redirect: "true"`, to("/", "main")) +
		at("basic", "@auth-type: basic, @auth-secret: users", to("/", "main")) +
		at("closed", "@auth-type: basic, @auth-secret: nothing", to("/", "main")) +
		at("asks", "@auth-url: 'http://auth.shop.svc/', @auth-signin: 'https://$host/start'", to("/", "main")) +
		at("canary", "", to("/", "main")) +
		strings.Replace(at("canary", `@canary: "true", @canary-weight: "20", @canary-by-header: X-Key`, to("/", "canary")), "name: canary\n", "name: second\n", 1)
	for _, name := range []string{"main", "canary", "auth"} {
		manifests += fmt.Sprintf(traefikService, name, `{addresses: ["127.0.0.1"]}`, echo(name))
	}
	dir, plain, secure := t.TempDir(), freeAddr(t), freeAddr(t)
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	runL7(t, valid(t, fmt.Sprintf("[kubernetes]\nmanifests = %q\ndialect = 'nginx'\n[[entrypoint]]\nname = 'http'\nlisten = %q\n[[entrypoint]]\nname = 'https'\nlisten = %q\ntls = {}", dir, plain, secure)))
	soon(t, func() bool { return ask(t, plain, "nowhere.example/", "") == "404" })

	asks(t, plain, "plain.example/foobar", "", "200 main /foobar")
	asks(t, plain, "plain.example/FOO", "", "404")
	asks(t, plain, "rewrite.example/app/x/y", "", "200 main /x/y")
	asks(t, plain, "rewrite.example/APP", "", "200 main /")
	asks(t, plain, "rewrite.example/apple", "", "404")
	asks(t, plain, "rewrite.example/app/%2e%2e/other", "", "200 main /")
	asks(t, plain, "forced.example/a?b", "", "308")
	asks(t, plain, "basic.example/", "", "401")
	asks(t, plain, "closed.example/", "", "503")
	asks(t, plain, "asks.example/a?b", "", "302 https://asks.example/start?rd=http://asks.example%2Fa%3Fb")
	asks(t, plain, "asks.example/a", "let me in", "200 main /a")
	asks(t, plain, "canary.example/", "always", "200 canary /")
	asks(t, plain, "canary.example/", "never", "200 main /")
	canaries := 0
	for range 100 {
		if ask(t, plain, "canary.example/", "") == "200 canary /" {
			canaries++
		}
	}
	if canaries < 18 || canaries > 22 {
		t.Errorf("a canary of 20 %% got %d of 100 requests", canaries)
	}
}
