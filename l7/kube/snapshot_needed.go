package kube

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/route"
)

// needed returns what of o it takes to serve its Ingresses by these backends: a
// cluster has far more Services and Secrets than its edge has use for, and what
// is not on the disk cannot be stolen from it.
func needed(o *Objects, backends []route.Backend) Objects {
	services := make(map[serviceName]bool, len(backends))
	for _, b := range backends {
		services[serviceName{b.Namespace, b.Service}] = true
	}
	secrets := named(o.Ingresses, o.Services)
	return Objects{
		Classes: o.Classes,
		Ingresses: pick(o.Ingresses, func(in *netv1.Ingress) (netv1.Ingress, bool) {
			return netv1.Ingress{ObjectMeta: bare(in.ObjectMeta), Spec: in.Spec}, true
		}),
		Services: pick(o.Services, func(s *corev1.Service) (corev1.Service, bool) {
			return corev1.Service{ObjectMeta: bare(s.ObjectMeta), Spec: s.Spec}, services[serviceName{s.Namespace, s.Name}]
		}),
		Slices: pick(o.Slices, func(s *discoveryv1.EndpointSlice) (discoveryv1.EndpointSlice, bool) {
			slim := *s
			slim.ObjectMeta = bare(s.ObjectMeta)
			return slim, services[serviceName{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}]
		}),
		Secrets: pick(o.Secrets, func(s *corev1.Secret) (corev1.Secret, bool) {
			slim := *s
			slim.ObjectMeta = bare(s.ObjectMeta)
			return slim, secrets[s.Namespace+"/"+s.Name]
		}),
	}
}

func pick[T any](all []*T, f func(*T) (T, bool)) (out []*T) {
	for _, o := range all {
		if v, ok := f(o); ok {
			out = append(out, &v)
		}
	}
	return out
}

// named returns the "namespace/name" of all that may be a Secret which Ingresses
// or Services name: in their tls, or in an annotation, of whatever dialect.
func named(ingresses []*netv1.Ingress, services []*corev1.Service) map[string]bool {
	out := map[string]bool{}
	annotations := func(namespace string, values map[string]string) {
		for v := range maps.Values(values) {
			for word := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(", \t\n;=\"'", r) }) {
				if !strings.Contains(word, "/") {
					word = namespace + "/" + word
				}
				out[word] = true
			}
		}
	}
	for _, in := range ingresses {
		annotations(in.Namespace, in.Annotations)
		for _, t := range in.Spec.TLS {
			out[in.Namespace+"/"+t.SecretName] = true
		}
	}
	for _, s := range services {
		annotations(s.Namespace, s.Annotations)
	}
	return out
}
