package kube

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/route"
)

// FuzzNginx reads annotations, a line each as KEY=VALUE, on an Ingress.
// Whatever they are, the rules can be served, and those of an Ingress that asks
// for protection are protected or closed.
func FuzzNginx(f *testing.F) {
	for _, s := range []string{
		"rewrite-target=/$2\nuse-regex=true\nx-forwarded-prefix=/a",
		"ssl-redirect=true\nforce-ssl-redirect=1\napp-root=/a\npermanent-redirect=https://$host$request_uri\ntemporal-redirect-code=307",
		"auth-type=basic\nauth-secret=users\nauth-realm=\"x\\",
		"auth-type=digest\nauth-secret=shop/digest\nauth-secret-type=auth-map",
		"auth-url=http://auth.ns.svc/$host?x=%zz\nauth-signin=https://x/?a#b\nauth-response-headers=X-A,b c",
		"allowlist-source-range=10.0.0.0/8,::/0\nwhitelist-source-range=x\ndenylist-source-range=10.0.0.0/8",
		"limit-rps=1\nlimit-rpm=0\nlimit-connections=3\nlimit-burst-multiplier=1000000",
		"custom-http-errors=404,500-599\ndefault-backend=web",
		"enable-cors=true\ncors-allow-origin=*,https://*.x,://\ncors-max-age=0",
		"affinity=cookie\nsession-cookie-name=a\nsession-cookie-samesite=none\nupstream-hash-by=$http_a",
		"backend-protocol=https\nproxy-ssl-verify=on\nproxy-ssl-secret=users\nproxy-read-timeout=1",
		"canary=true\ncanary-weight=3\ncanary-by-header=a\ncanary-by-header-pattern=(",
		"server-alias=a,b.,*.c,*\nfrom-to-www-redirect=true",
		"auth-tls-secret=shop/users\nauth-tls-match-cn=(\nconfiguration-snippet=deny all;",
		"proxy-cookie-path=/ /a\nproxy-redirect-from=/\nproxy-redirect-to=//x\nmirror-target=http://web.shop.svc$request_uri",
	} {
		f.Add(s, "/app(/|$)(.*)")
	}
	f.Add("use-regex=true\nauth-secret=x", "/a|/b(?!c)")
	f.Fuzz(func(t *testing.T, text, path string) {
		annotations := map[string]string{}
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			annotations[nginxPrefix+key] = value
		}
		o := traefikObjects(annotations, path)
		result := Routes(o, options(Nginx))
		table, _ := route.NewTable(result.Specs)
		table.Lookup([]byte("shop.example"), []byte("/app/x"))
		n := newNotes(nil, &object{"Ingress", &o.Ingresses[0].ObjectMeta}, nginxKey)
		for _, s := range result.Specs {
			checkSpec(t, s, notes{})
			if s.Origin.Name == "a" {
				checkNginx(t, s, n)
			}
		}
	})
}

// checkNginx checks that a rule is as protected as its Ingress asks for.
func checkNginx(t *testing.T, s route.Spec, n notes) {
	kinds := func(of ...string) bool {
		return slices.ContainsFunc(s.Steps, func(s route.Step) bool { return slices.Contains(of, s.Kind()) })
	}
	if s.Backend == (route.Backend{}) || len(s.Steps) == 1 && kinds("redirect") {
		return
	}
	for key, of := range map[string][]string{
		"auth-type":              {"basic_auth", "digest_auth"},
		"auth-secret":            {"basic_auth", "digest_auth"},
		"auth-url":               {"forward_auth"},
		"auth-signin":            {"forward_auth"},
		"allowlist-source-range": {"allow"},
		"denylist-source-range":  {"allow"},
	} {
		if n.has(key) && !kinds(of...) && !strings.HasPrefix(s.Path, acmePath) {
			t.Errorf("%s = %q is open: %v", key, n.text(key), s)
		}
	}
	if v := n.text("auth-tls-verify-client"); n.has("auth-tls-secret") && v != "off" && !kinds("client_ca") {
		t.Errorf("auth-tls-secret = %q is open: %v", n.text("auth-tls-secret"), s)
	}
}

// TestNginxLiteral: what begins an expression is never more than all that it
// matches begin with.
func TestNginxLiteral(t *testing.T) {
	for expr, want := range map[string]string{
		"/admin/(?!public)": "/admin/",
		"/ab?(?!x)":         "/a",
		"/a*(?!x)":          "/",
		"/a|/b(?!x)":        "/",
		"/a(b|c)/(?!x)":     "/a",
		`/a\(|/b(?!x)`:      "/",
		"[(](?!x)":          "/",
		"/\xff":             "/",
	} {
		if got := nginxLiteral(expr); got != want {
			t.Errorf("%q: %q, want %q", expr, got, want)
		}
	}
}

// TestClientCertificatesAreAskedFor: a rule that wants one is told of where no
// entrypoint of it asks.
func TestClientCertificatesAreAskedFor(t *testing.T) {
	o := traefikObjects(map[string]string{nginxPrefix + "auth-tls-secret": "shop/ca"}, "/")
	pem, err := os.ReadFile("testdata/nginx/client-ca.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range objectsOf("ca.yaml", pem).Secrets {
		s = s.DeepCopy()
		s.Namespace, s.Name = "shop", "ca"
		o.Secrets = []*corev1.Secret{s}
	}
	for _, tt := range []struct {
		name        string
		entrypoints []Entrypoint
		defaults    []string
		want        string
	}{
		{"one asks", []Entrypoint{{Name: "a", Scheme: "https", ClientAuth: true}, {Name: "b", Scheme: "https"}}, nil, ""},
		{"another one asks", []Entrypoint{{Name: "a", Scheme: "https", ClientAuth: true}, {Name: "b", Scheme: "https"}}, []string{"b"}, "[[l7.entrypoint]] b"},
		{"none asks", []Entrypoint{{Name: "a", Scheme: "https"}, {Name: "b", Scheme: "https"}}, nil, "[[l7.entrypoint]] a or b"},
		{"no TLS", []Entrypoint{{Name: "a", Scheme: "http"}}, nil, "no entrypoint with TLS"},
	} {
		opt := options(Nginx)
		opt.Entrypoints, opt.DefaultEntrypoints = tt.entrypoints, tt.defaults
		var told []string
		for _, p := range Routes(o, opt).Problems {
			if strings.Contains(p.Field, "auth-tls-secret") {
				told = append(told, p.Text)
			}
		}
		if text := strings.Join(told, "; "); (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: told %q", tt.name, text)
		}
	}
}
