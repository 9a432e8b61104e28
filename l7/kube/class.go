package kube

import (
	netv1 "k8s.io/api/networking/v1"
)

const (
	// Controller is the spec.controller of an IngressClass whose Ingresses are
	// served.
	Controller = "portico.io/ingress-controller"
	// ClassAnnotation names the class of an Ingress from before
	// spec.ingressClassName, which wins where both stand.
	ClassAnnotation = "kubernetes.io/ingress.class"
)

// classes decides which Ingresses are ours.
type classes struct {
	controllers map[string]string // of each IngressClass, by name
	name        string            // the configured class
}

func newClasses(objects []*netv1.IngressClass, name string) classes {
	c := classes{make(map[string]string, len(objects)), name}
	for _, o := range objects {
		c.controllers[o.Name] = o.Spec.Controller
	}
	return c
}

// serve reports whether ing is ours. The IngressClass object decides; where it
// cannot be read (a folder without it, RBAC without cluster scope) the
// configured name does. An Ingress without a class is nobody's: the default
// class is filled in by the API server at admission.
func (c classes) serve(ing *netv1.Ingress) bool {
	if f := ing.Spec.IngressClassName; f != nil {
		if controller, ok := c.controllers[*f]; ok {
			return controller == Controller
		}
		return *f != "" && *f == c.name
	}
	a, ok := ing.Annotations[ClassAnnotation]
	return ok && a != "" && a == c.name
}
