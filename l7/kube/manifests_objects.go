package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newObjects sorts manifests, of which none are of one object, into Objects. A
// kind's generation goes up where one of its objects is not the very same as in
// last, which may be nil.
func newObjects(manifests []*manifest, last *Objects) *Objects {
	if last == nil {
		last = &Objects{}
	}
	o := &Objects{
		Ingresses: sorted[*netv1.Ingress](manifests),
		Classes:   sorted[*netv1.IngressClass](manifests),
		Services:  sorted[*corev1.Service](manifests),
		Slices:    sorted[*discoveryv1.EndpointSlice](manifests),
		Secrets:   sorted[*corev1.Secret](manifests),
	}
	o.Slices = append(o.Slices, standIn(sorted[*endpointsObject](manifests), o.Slices)...)
	o.Gen = Generations{
		Ingresses: generation(last.Gen.Ingresses, last.Ingresses, o.Ingresses),
		Classes:   generation(last.Gen.Classes, last.Classes, o.Classes),
		Services:  generation(last.Gen.Services, last.Services, o.Services),
		Slices:    generation(last.Gen.Slices, last.Slices, o.Slices),
		Secrets:   generation(last.Gen.Secrets, last.Secrets, o.Secrets),
	}
	return o
}

// sorted returns the objects of one kind by namespace and name.
func sorted[T metav1.Object](manifests []*manifest) []T {
	n := 0
	for _, m := range manifests {
		if _, ok := m.object.(T); ok {
			n++
		}
	}
	out := slices.Grow([]T(nil), n)
	for _, m := range manifests {
		if o, ok := m.object.(T); ok {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b T) int {
		if c := strings.Compare(a.GetNamespace(), b.GetNamespace()); c != 0 {
			return c
		}
		return strings.Compare(a.GetName(), b.GetName())
	})
	return out
}

func generation[T comparable](last uint64, before, now []T) uint64 {
	if slices.Equal(before, now) {
		return last
	}
	return last + 1
}
