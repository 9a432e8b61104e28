package kube

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	extv1beta1 "k8s.io/api/extensions/v1beta1"
	netv1 "k8s.io/api/networking/v1"
	netv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// An oldIngress is an Ingress as it was written before networking.k8s.io/v1.
// That of extensions/v1beta1 has the very same fields.
type oldIngress struct{ netv1beta1.Ingress }

// An endpointsObject is what EndpointSlices took the place of.
type endpointsObject struct {
	corev1.Endpoints
	slices []*discoveryv1.EndpointSlice
}

// oldVersions are those in which a kind is read beside the one that newObject
// names.
func oldVersion(t metav1.TypeMeta) bool {
	switch t.Kind {
	case "Ingress":
		return t.APIVersion == netv1beta1.SchemeGroupVersion.String() || t.APIVersion == extv1beta1.SchemeGroupVersion.String()
	case "IngressClass": // whose fields have stayed the same
		return t.APIVersion == netv1beta1.SchemeGroupVersion.String()
	}
	return false
}

// converted returns what an object that was read is served as.
func converted(o metav1.Object) metav1.Object {
	switch o := o.(type) {
	case *oldIngress:
		return o.convert()
	case *endpointsObject:
		o.slices = slicesOf(&o.Endpoints)
		o.Subsets = nil
	}
	return o
}

// convert returns what Kubernetes made of an old Ingress when it was stored:
// a path without a type became one of type ImplementationSpecific.
func (o *oldIngress) convert() *netv1.Ingress {
	out := &netv1.Ingress{ObjectMeta: o.ObjectMeta}
	out.Spec.IngressClassName = o.Spec.IngressClassName
	if b := o.Spec.Backend; b != nil {
		out.Spec.DefaultBackend = new(convertBackend(*b))
	}
	for _, t := range o.Spec.TLS {
		out.Spec.TLS = append(out.Spec.TLS, netv1.IngressTLS{Hosts: t.Hosts, SecretName: t.SecretName})
	}
	for _, r := range o.Spec.Rules {
		rule := netv1.IngressRule{Host: r.Host}
		if r.HTTP != nil {
			rule.HTTP = &netv1.HTTPIngressRuleValue{}
			for _, p := range r.HTTP.Paths {
				rule.HTTP.Paths = append(rule.HTTP.Paths, netv1.HTTPIngressPath{
					Path:     p.Path,
					PathType: new(netv1.PathType(deref(p.PathType, netv1beta1.PathTypeImplementationSpecific))),
					Backend:  convertBackend(p.Backend),
				})
			}
		}
		out.Spec.Rules = append(out.Spec.Rules, rule)
	}
	return out
}

func convertBackend(b netv1beta1.IngressBackend) netv1.IngressBackend {
	out := netv1.IngressBackend{Resource: b.Resource}
	if b.ServiceName != "" {
		out.Service = &netv1.IngressServiceBackend{Name: b.ServiceName}
		if b.ServicePort.Type == intstr.String {
			out.Service.Port.Name = b.ServicePort.StrVal
		} else {
			out.Service.Port.Number = b.ServicePort.IntVal
		}
	}
	return out
}

// skipMirror on Endpoints says that no EndpointSlice is to be made of them.
const skipMirror = "endpointslice.kubernetes.io/skip-mirror"

// slicesOf returns the EndpointSlices that Kubernetes makes of Endpoints. An
// address that is not ready serves nobody: that a Pod terminates, Endpoints do not
// say.
func slicesOf(e *corev1.Endpoints) []*discoveryv1.EndpointSlice { //nolint:staticcheck // old folders have nothing else
	if e.Labels[skipMirror] == "true" {
		return nil
	}
	var out []*discoveryv1.EndpointSlice
	for i, subset := range e.Subsets {
		name := e.Name
		if i > 0 {
			name = fmt.Sprintf("%s.%d", name, i+1)
		}
		s := &discoveryv1.EndpointSlice{
			TypeMeta: metav1.TypeMeta{Kind: "Endpoints"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: e.Namespace,
				Name:      name,
				Labels:    map[string]string{discoveryv1.LabelServiceName: e.Name},
			},
			AddressType: discoveryv1.AddressTypeIPv4, // of no importance
		}
		for _, p := range subset.Ports {
			s.Ports = append(s.Ports, discoveryv1.EndpointPort{
				Name:        new(p.Name),
				Port:        new(p.Port),
				Protocol:    new(cmp.Or(p.Protocol, corev1.ProtocolTCP)),
				AppProtocol: p.AppProtocol,
			})
		}
		for _, a := range subset.Addresses {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a.IP}, TargetRef: a.TargetRef})
		}
		out = append(out, s)
	}
	return out
}

// standIn returns the EndpointSlices of the Endpoints whose Service has none of
// its own.
func standIn(all []*endpointsObject, have []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	if len(all) == 0 {
		return nil
	}
	own := make(map[serviceName]bool)
	for _, s := range have {
		own[serviceName{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}] = true
	}
	var out []*discoveryv1.EndpointSlice
	for _, e := range all {
		if !own[serviceName{e.Namespace, e.Name}] {
			out = append(out, e.slices...)
		}
	}
	return out
}
