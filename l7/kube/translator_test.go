package kube

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/route"
)

// TestTranslator changes objects one after another, as they come, and compares
// what a Translator makes of it each time with what one that is new does.
func TestTranslator(t *testing.T) {
	for d := range Dialects() {
		t.Run(Dialect(d).String(), func(t *testing.T) {
			for seed := range uint64(6) {
				followCluster(t, Dialect(d), seed)
			}
		})
	}
}

func followCluster(t *testing.T, d Dialect, seed uint64) {
	c := &changing{Rand: rand.New(rand.NewPCG(seed, 7)), dialect: d}
	opt := options(d)
	opt.HostOwners = HostOwners{"given.test": {"shop"}}
	x := NewEndpointIndex()
	tr := NewTranslator(opt, x)
	rules := map[string][]route.Spec{}
	for step := range 150 {
		for range 1 + c.IntN(3) {
			c.change()
		}
		o := c.objects
		before := tr.Result()
		x.Update(&o)
		change := tr.Update(&o)
		maps.Copy(rules, change.Hosts)
		maps.DeleteFunc(rules, func(_ string, specs []route.Spec) bool { return len(specs) == 0 })

		got, want := tr.Result(), Routes(&o, opt)
		if diff := cmp.Diff(resultText(want), resultText(got)); diff != "" || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, step %d (-anew +followed):\n%s", seed, step, diff)
		}
		if !reflect.DeepEqual(rules, route.ByHost(want.Specs)) {
			t.Fatalf("seed %d, step %d: the changes of hosts do not come to its rules", seed, step)
		}
		if !change.Certificates && !reflect.DeepEqual([]any{before.TLS, before.CertRequests}, []any{got.TLS, got.CertRequests}) ||
			!change.Policies && !reflect.DeepEqual(before.Policies, got.Policies) ||
			!change.Problems && !reflect.DeepEqual(before.Problems, got.Problems) {
			t.Fatalf("seed %d, step %d: more has changed than is told: %+v", seed, step, change)
		}
	}
}

// resultText is a Result that can be compared.
func resultText(r Result) (lines []string) {
	for _, s := range r.Specs {
		lines = append(lines, specText(s))
	}
	for _, s := range r.TLS {
		lines = append(lines, fmt.Sprint(s, s.Origin))
	}
	for _, q := range r.CertRequests {
		lines = append(lines, fmt.Sprint(q))
	}
	for _, p := range r.Problems {
		lines = append(lines, p.String())
	}
	var policies []string
	for b, p := range r.Policies {
		policies = append(policies, b.String()+policyText(p))
	}
	slices.Sort(policies)
	return append(lines, policies...)
}

// A changing cluster is small, so that everything meets everything.
type changing struct {
	*rand.Rand
	dialect Dialect
	objects Objects
	made    int64
}

func (c *changing) of(list ...string) string { return list[c.IntN(len(list))] }

// change makes one change. Objects are replaced, never written to.
func (c *changing) change() {
	o := &c.objects
	switch c.IntN(12) {
	case 0:
		o.Services = replaced(c, o.Services, c.service())
	case 1:
		o.Slices = replaced(c, o.Slices, c.slice())
	case 2:
		o.Secrets = replaced(c, o.Secrets, c.secret())
	case 3:
		if c.IntN(8) == 0 {
			o.Classes = replaced(c, o.Classes, &netv1.IngressClass{
				ObjectMeta: metav1.ObjectMeta{Name: c.of("portico", "other")},
				Spec:       netv1.IngressClassSpec{Controller: c.of(Controller, "other/one")},
			})
		}
	case 4:
		o.Ingresses = slices.Clone(o.Ingresses)
		mix(o.Ingresses)
	case 5:
		if len(o.Ingresses) > 0 { // another status
			in := o.Ingresses[c.IntN(len(o.Ingresses))].DeepCopy()
			in.Status.LoadBalancer.Ingress = []netv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
			o.Ingresses = replaced(c, o.Ingresses, in)
		}
	default:
		o.Ingresses = replaced(c, o.Ingresses, c.ingress())
	}
}

// replaced returns all with o in the place of the one of its name, or in a new
// one, and now and then without it.
func replaced[T metav1.Object](c *changing, all []T, o T) []T {
	out := slices.DeleteFunc(slices.Clone(all), func(have T) bool {
		return have.GetName() == o.GetName() && have.GetNamespace() == o.GetNamespace()
	})
	if c.IntN(4) == 0 {
		return out
	}
	return slices.Insert(out, c.IntN(len(out)+1), o)
}

func (c *changing) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: c.of("shop", "shop", "bank")}
}

var changingAnnotations = map[Dialect][]map[string]string{
	Spec: {{MiddlewaresAnnotation: "office"}, {MiddlewaresAnnotation: "gone"}},
	Traefik17: {
		{traefikOwn + "rule-type": "PathStrip"},
		{traefikOwn + "rule-type": "Path"},
		{traefikOwn + "auth-type": "basic", traefikOwn + "auth-secret": "users"},
		{traefikOwn + "service-weights": "{web: 30%}"},
		{traefikOwn + "service-weights": "{web: 30%, other: 10%}"},
		{traefikOwn + "error-pages": "{a: {status: [500], backend: a.test/b, query: x}, b: {status: [404], backend: web, query: y}}"},
		{traefikOwn + "preserve-host": "false", traefikOwn + "protocol": "h2c"},
		{traefikOwn + "frontend-entry-points": "http"},
	},
	Nginx: {
		{nginxPrefix + "server-alias": "a.test,alias.test"},
		{nginxPrefix + "server-alias": "www.b.test"},
		{nginxPrefix + "from-to-www-redirect": "true"},
		{nginxPrefix + "canary": "true", nginxPrefix + "canary-weight": "20"},
		{nginxPrefix + "use-regex": "true"},
		{nginxPrefix + "rewrite-target": "/x"},
		{nginxPrefix + "auth-type": "basic", nginxPrefix + "auth-secret": "users"},
		{nginxPrefix + "custom-http-errors": "503", nginxPrefix + "default-backend": "other"},
		{nginxPrefix + "mirror-target": "http://web.shop.svc$request_uri", nginxPrefix + "backend-protocol": "HTTPS"},
	},
}

func (c *changing) ingress() *netv1.Ingress {
	class := c.of("portico", "portico", "portico", "other")
	in := &netv1.Ingress{ObjectMeta: c.meta(c.of("a", "b", "c", "d", "e", "f", "g", "h"))}
	c.made++
	in.CreationTimestamp = metav1.NewTime(time.Unix(1e9+c.made/3, 0))
	in.Generation = 1 + c.made
	in.Spec.IngressClassName = &class
	if all := changingAnnotations[c.dialect]; c.IntN(2) == 0 {
		in.Annotations = maps.Clone(all[c.IntN(len(all))])
	}
	host := func() string {
		return c.of("a.test", "b.test", "www.b.test", "c.test", "d.test", "*.test", "given.test", "e.test", "f.test", "g.test", "", "..")
	}
	backend := func() netv1.IngressBackend {
		return netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: c.of("web", "other", "none"), Port: netv1.ServiceBackendPort{Number: 80}}}
	}
	for range 1 + c.IntN(2) {
		r := netv1.IngressRule{Host: host()}
		if c.IntN(8) > 0 {
			r.HTTP = &netv1.HTTPIngressRuleValue{}
			for range 1 + c.IntN(2) {
				kind := netv1.PathType(c.of("Prefix", "Exact", "ImplementationSpecific"))
				r.HTTP.Paths = append(r.HTTP.Paths, netv1.HTTPIngressPath{Path: c.of("/", "/b", "/b/"), PathType: &kind, Backend: backend()})
			}
		}
		in.Spec.Rules = append(in.Spec.Rules, r)
	}
	if c.IntN(8) == 0 {
		b := backend()
		in.Spec.DefaultBackend = &b
	}
	for range c.IntN(3) {
		entry := netv1.IngressTLS{SecretName: c.of("tls1", "tls2", "", "missing")}
		for range c.IntN(3) {
			entry.Hosts = append(entry.Hosts, host())
		}
		in.Spec.TLS = append(in.Spec.TLS, entry)
	}
	return in
}

func (c *changing) service() *corev1.Service {
	s := &corev1.Service{ObjectMeta: c.meta(c.of("web", "other"))}
	s.Spec.Ports = []corev1.ServicePort{{Port: 80, Name: c.of("", "https")}}
	if c.IntN(3) == 0 {
		s.Annotations = map[string]string{traefikOwn + "affinity": c.of("true", "perhaps"), traefikOwn + "load-balancer-method": c.of("drr", "wrr")}
	}
	return s
}

func (c *changing) slice() *discoveryv1.EndpointSlice {
	service := c.of("web", "other")
	s := &discoveryv1.EndpointSlice{ObjectMeta: c.meta(service + "-1"), AddressType: discoveryv1.AddressTypeIPv4}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	for _, name := range []string{"", "https"} {
		port := int32(8080)
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
	}
	for i := range c.IntN(4) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i)}})
	}
	return s
}

func (c *changing) secret() *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: c.meta(c.of("tls1", "tls2", "users"))}
	if s.Name == "users" {
		s.Data = map[string][]byte{"auth": []byte(c.of("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", "nobody\n"))}
	} else {
		s.Data = map[string][]byte{"tls.crt": []byte(c.of("a", "b")), "tls.key": []byte("k")}
	}
	return s
}
