package kube

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fit gives back the room that decoders leave in lists for what may come, up to
// that for four where most have one: there may be tens of thousands.
func fit(object metav1.Object) {
	switch o := object.(type) {
	case *netv1.Ingress:
		fitList(&o.Spec.Rules)
		fitList(&o.Spec.TLS)
		for i := range o.Spec.Rules {
			if http := o.Spec.Rules[i].HTTP; http != nil {
				fitList(&http.Paths)
			}
		}
		for i := range o.Spec.TLS {
			fitList(&o.Spec.TLS[i].Hosts)
		}
	case *corev1.Service:
		fitList(&o.Spec.Ports)
	case *discoveryv1.EndpointSlice:
		fitList(&o.Endpoints)
		fitList(&o.Ports)
		for i := range o.Endpoints {
			fitList(&o.Endpoints[i].Addresses)
		}
	}
}

func fitList[T any](list *[]T) {
	if len(*list) < cap(*list) {
		*list = append(make([]T, 0, len(*list)), *list...)
	}
}
