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
			return slim, secrets[s.Namespace+"/"+s.Name] > 0
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
func named(ingresses []*netv1.Ingress, services []*corev1.Service) map[string]int {
	var m mentions
	m.update(ingresses, services)
	return m.of
}

// mentions counts how often a Secret may be named, by "namespace/name".
type mentions struct {
	of        map[string]int
	ingresses []*netv1.Ingress
	services  []*corev1.Service
}

// update makes it the mentions of these objects, and reports whether some are
// named now that were not before, or the other way round.
func (m *mentions) update(ingresses []*netv1.Ingress, services []*corev1.Service) (changed bool) {
	before := make(map[string]bool)
	count := func(name string, n int) {
		if _, ok := before[name]; !ok {
			before[name] = m.of[name] > 0
		}
		if remember(&m.of, name, m.of[name]+n) == 0 {
			delete(m.of, name)
		}
	}
	gone, come := difference(m.ingresses, ingresses)
	for _, in := range gone {
		mentionedByIngress(in, func(name string) { count(name, -1) })
	}
	for _, in := range come {
		mentionedByIngress(in, func(name string) { count(name, 1) })
	}
	goneServices, comeServices := difference(m.services, services)
	for _, s := range goneServices {
		mentioned(s.Namespace, s.Annotations, func(name string) { count(name, -1) })
	}
	for _, s := range comeServices {
		mentioned(s.Namespace, s.Annotations, func(name string) { count(name, 1) })
	}
	m.ingresses, m.services = ingresses, services
	for name, was := range before {
		changed = changed || was != (m.of[name] > 0)
	}
	return changed
}

func mentionedByIngress(in *netv1.Ingress, tell func(name string)) {
	mentioned(in.Namespace, in.Annotations, tell)
	for _, t := range in.Spec.TLS {
		tell(in.Namespace + "/" + t.SecretName)
	}
}

// mentioned tells every word of annotations that may be the name of a Secret.
func mentioned(namespace string, annotations map[string]string, tell func(name string)) {
	for v := range maps.Values(annotations) {
		for word := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(", \t\n;=\"'", r) }) {
			if !strings.Contains(word, "/") {
				word = namespace + "/" + word
			}
			tell(word)
		}
	}
}
