package kube

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
)

// newObjects sorts manifests into Objects. A kind's generation goes up where
// one of its objects is not the very same as in last, which may be nil.
func newObjects(manifests []manifest, last *Objects) *Objects {
	slices.SortFunc(manifests, func(a, b manifest) int {
		return cmp.Or(
			strings.Compare(a.key.namespace, b.key.namespace),
			strings.Compare(a.key.name, b.key.name),
		)
	})
	if last == nil {
		last = &Objects{}
	}
	o := &Objects{}
	var endpoints []*endpointsObject
	for _, m := range manifests {
		switch x := m.object.(type) {
		case *netv1.Ingress:
			o.Ingresses = append(o.Ingresses, x)
		case *netv1.IngressClass:
			o.Classes = append(o.Classes, x)
		case *corev1.Service:
			o.Services = append(o.Services, x)
		case *discoveryv1.EndpointSlice:
			o.Slices = append(o.Slices, x)
		case *endpointsObject:
			endpoints = append(endpoints, x)
		case *corev1.Secret:
			o.Secrets = append(o.Secrets, x)
		}
	}
	o.Slices = append(o.Slices, standIn(endpoints, o.Slices)...)
	o.Gen = Generations{
		Ingresses: generation(last.Gen.Ingresses, last.Ingresses, o.Ingresses),
		Classes:   generation(last.Gen.Classes, last.Classes, o.Classes),
		Services:  generation(last.Gen.Services, last.Services, o.Services),
		Slices:    generation(last.Gen.Slices, last.Slices, o.Slices),
		Secrets:   generation(last.Gen.Secrets, last.Secrets, o.Secrets),
	}
	return o
}

func generation[T comparable](last uint64, before, now []T) uint64 {
	if slices.Equal(before, now) {
		return last
	}
	return last + 1
}
