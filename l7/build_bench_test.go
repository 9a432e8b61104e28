package l7

import (
	"fmt"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/kube"
)

// fixed is a Source of objects that are there from the begin on.
type fixed struct {
	kube.Nothing
	objects *kube.Objects
}

func (f fixed) Objects() *kube.Objects { return f.objects }

// BenchmarkStart makes routes of 10,000 Ingresses, each with a Service and an
// EndpointSlice of its own, and serves them.
func BenchmarkStart(b *testing.B) {
	const n = 10000
	source := fixed{objects: manyObjects(n)}
	b.ReportAllocs()
	for b.Loop() {
		l := New(Options{Log: slog.New(slog.DiscardHandler)})
		r := newRunner(l, func() {})
		r.config = Config{
			Kubernetes: Kubernetes{Manifests: "folder", IngressClass: "portico", Dialect: kube.Traefik17},
			Backend:    backend.Default(),
		}
		r.rebuildAll()
		r.source = &feed{Source: source, config: r.config.Kubernetes, cancel: func() {}}
		r.rebuildAll()
		if _, endpoints := r.build.endpoints.Count(); endpoints != n || r.build.table.Rules() != n {
			b.Fatal(endpoints, r.build.table.Rules())
		}
		r.relax()
	}
}

// manyObjects are n Ingresses, each with a Service and an EndpointSlice of its own.
func manyObjects(n int) *kube.Objects {
	o := &kube.Objects{}
	class, prefix, port := "portico", netv1.PathTypePrefix, int32(8080)
	for i := range n {
		service, host := fmt.Sprintf("bench%d", i), fmt.Sprintf("h%05d.example", i)
		o.Services = append(o.Services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		})
		o.Slices = append(o.Slices, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: service + "-1",
				Labels: map[string]string{discoveryv1.LabelServiceName: service},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)}}},
			Ports:       []discoveryv1.EndpointPort{{Port: &port}},
		})
		o.Ingresses = append(o.Ingresses, &netv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: host},
			Spec: netv1.IngressSpec{
				IngressClassName: &class,
				Rules: []netv1.IngressRule{{
					Host: host,
					IngressRuleValue: netv1.IngressRuleValue{HTTP: &netv1.HTTPIngressRuleValue{Paths: []netv1.HTTPIngressPath{{
						Path: "/", PathType: &prefix,
						Backend: netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: service, Port: netv1.ServiceBackendPort{Number: 80}}},
					}}}},
				}},
			},
		})
	}
	return o
}
