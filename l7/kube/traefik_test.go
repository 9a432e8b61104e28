package kube

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// FuzzTraefik reads annotations, a line each as KEY=VALUE, on an Ingress and on
// its Service. Whatever they are, the rules can be served, and those of an
// Ingress that asks for protection are protected or closed.
func FuzzTraefik(f *testing.F) {
	for _, s := range []string{
		"rule-type=PathPrefixStrip\nredirect-entry-point=https",
		"rule-type=Path\npriority=7\nportico.io/redirect-to-slash=true",
		"rewrite-target=/x(\nrequest-modifier=ReplacePathRegex: ^/a(.*) $1/b",
		"auth-type=basic\nauth-secret=users\nauth-realm=\"x\\",
		"auth-type=forward\nauth-url=http://auth.ns.svc/$host?x=%zz\nauth-response-headers=X-A,b c",
		"auth-type=digest\nauth-secret=digest",
		"whitelist-source-range=10.0.0.0/8,::/0\nwhitelist-x-forwarded-for=1",
		"rate-limit={extractorfunc: request.header.X, rateset: {a: {period: 1ns, average: 9223372036854775807, burst: 1}}}",
		"error-pages={a: {status: [500-599, 404], backend: h/p, query: x}}",
		"custom-request-headers=a:b||C: ||d\nhsts-max-age=99999999\nallowed-hosts=A,b.\nssl-redirect=1\nssl-host=x",
		"service-weights={web: 30%, other: 1e2}\ncircuit-breaker-expression=LatencyAtQuantileMS(50.0) > 1\nmax-conn-amount=1\nmax-conn-extractor-func=client.ip",
		"affinity=true\nsession-cookie-name=a\nbuffering={maxrequestbodybytes: 1, retryexpression: Attempts() < 3}",
		"app-root=//evil.example\nredirect-regex=^(.*)$\nredirect-replacement=$1$1\npass-client-tls-cert={pem: true}",
	} {
		f.Add(s, "/app")
	}
	f.Add("rule-type=PathStrip", "/{a:[0-9]+}/{b")
	f.Fuzz(func(t *testing.T, text, path string) {
		annotations := map[string]string{}
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !strings.Contains(key, "/") {
				key = traefikOwn + key
			}
			annotations[key] = value
		}
		o := traefikObjects(annotations, path)
		result := Routes(o, options(Traefik17))
		table, _ := route.NewTable(result.Specs)
		table.Lookup([]byte("shop.example"), []byte("/app/x"))
		n := newNotes(nil, &object{"Ingress", &o.Ingresses[0].ObjectMeta}, traefikKey)
		for _, s := range result.Specs {
			checkSpec(t, s, n)
		}
	})
}

func checkSpec(t *testing.T, s route.Spec, n notes) {
	if _, err := route.CanonicalPath(nil, []byte(s.Path)); err != nil && s.Match != route.Regexp {
		t.Errorf("%q: %v", s.Path, err)
	}
	if err := route.CheckRegexp(s.Path); err != nil && s.Match == route.Regexp {
		t.Errorf("%q: %v", s.Path, err)
	}
	var steps []middleware.Step
	for _, step := range s.Steps {
		steps = append(steps, step.(middleware.Step))
	}
	middleware.NewChain(steps, middleware.Env{Log: slog.New(slog.DiscardHandler)}, nil)
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(s.Steps, func(s route.Step) bool { return slices.Contains(kinds, s.Kind()) })
	}
	if s.Backend == (route.Backend{}) || len(s.Steps) == 1 && has("redirect") {
		return
	}
	for key, kinds := range map[string][]string{
		"auth-type":              {"basic_auth", "digest_auth", "forward_auth"},
		"auth-secret":            {"basic_auth", "digest_auth", "forward_auth"},
		"whitelist-source-range": {"allow"},
		"rate-limit":             {"rate_limit"},
		"pass-client-tls-cert":   {"client_certificate"},
	} {
		if n.has(key) && !has(kinds...) {
			t.Errorf("%s = %q is open: %v", key, n.text(key), s)
		}
	}
}

// traefikObjects are two Ingresses of which the second shares the first one's
// rule.
func traefikObjects(annotations map[string]string, path string) *Objects {
	class := "portico"
	ingress := func(name, service string, annotations map[string]string) *netv1.Ingress {
		paths := &netv1.HTTPIngressRuleValue{}
		for _, s := range []string{service, "web"} {
			paths.Paths = append(paths.Paths, netv1.HTTPIngressPath{Path: path, Backend: netv1.IngressBackend{
				Service: &netv1.IngressServiceBackend{Name: s, Port: netv1.ServiceBackendPort{Number: 80}},
			}})
		}
		return &netv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: annotations},
			Spec: netv1.IngressSpec{
				IngressClassName: &class,
				Rules:            []netv1.IngressRule{{Host: "shop.example", IngressRuleValue: netv1.IngressRuleValue{HTTP: paths}}},
			},
		}
	}
	return &Objects{
		Ingresses: []*netv1.Ingress{ingress("a", "web", annotations), ingress("b", "other", nil)},
		Services: []*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: annotations},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}},
		Secrets: []*corev1.Secret{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "users"}, Data: map[string][]byte{"auth": []byte("a:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=")}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "digest"}, Data: map[string][]byte{"auth": []byte("a:traefik:a2688e031edb4be6a3797f3882655c05")}},
		},
	}
}
