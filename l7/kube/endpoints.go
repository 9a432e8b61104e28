package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/route"
)

// Endpoints returns the addresses of each backend, sorted; none for one that
// cannot be served. It depends on Services and Slices alone, and allows no
// ExternalName.
//
// Ready endpoints are used. Where there is none, those are that still serve
// while they terminate, as kube-proxy does (KEP-1669): the last Pod of a
// rolling update answers until its successor can. Beside ready ones they are
// leaving: clients that belong there may stay. Of a Service with two address
// families the first one in its ipFamilies that has an endpoint is used, so
// that no Pod counts twice.
//
// Where the zone of this node is known, those of the ready ones are used that are
// for it by their hints, as kube-proxy does (KEP-2433): unless one of them has no
// hint, or none is for this zone.
func Endpoints(o *Objects, backends []route.Backend) (map[route.Backend][]route.Endpoint, []Problem) {
	x := NewEndpointIndex()
	x.Want(backends, nil)
	x.Update(o)
	return x.All(), x.Problems()
}

// serviceName is the namespace and name of a Service.
type serviceName struct{ namespace, name string }

func (n serviceName) compare(o serviceName) int {
	if c := strings.Compare(n.namespace, o.namespace); c != 0 {
		return c
	}
	return strings.Compare(n.name, o.name)
}

// A service is what is known of one Service.
type service struct {
	name   serviceName
	object *corev1.Service // nil for one that does not exist
	slices []*discoveryv1.EndpointSlice
	// uses are the ways to use it that are asked for, in order.
	uses     []use
	problems []Problem
	// What follows is the index's own: whether it is among those to look at
	// again, and among those that something has changed of, the Service itself.
	stale, touched, replaced bool
}

// A use is a way to use a Service, with the endpoints that it has for that.
type use struct {
	backend   route.Backend
	endpoints []route.Endpoint
	uses      int // as Use counts them
}

// find returns the place of b in s.uses, and whether it is there.
func (s *service) find(b route.Backend) (i int, known bool) {
	return slices.BinarySearchFunc(s.uses, b, func(u use, b route.Backend) int { return u.backend.Compare(b) })
}

func (s *service) problem(field, format string, args ...any) {
	p := Problem{Object: "Service " + s.name.namespace + "/" + s.name.name, Field: field, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(s.problems, p) { // by another port of the Service
		s.problems = append(s.problems, p)
	}
}

// endpoints returns those of one of its backends. Only the zone of found is used,
// and its room.
func (s *service) endpoints(b route.Backend, names Names, found *candidates) []route.Endpoint {
	found.clear()
	switch {
	case s.object == nil:
		s.problem("", "is asked for but does not exist, what leads there answers 503: create it, or correct the Ingress or the middleware that names it")
		return nil
	case s.object.Spec.Type == corev1.ServiceTypeExternalName:
		return s.external(b, names, found)
	}
	port, ok := servicePort(s.object, b.Port)
	number, direct := s.directPort(b.Port)
	if !ok && !direct {
		s.problem("spec.ports", "no TCP port is %s, which is asked for, what leads there answers 503: add the port, or correct the Ingress or the middleware that names it", b.Port)
		return nil
	}
	protocol := s.protocol(port, b)
	found.byZone = s.close()
	for _, slice := range s.slices {
		problem := func(format string, args ...any) {
			s.problem("", cmp.Or(slice.Kind, "EndpointSlice")+" "+slice.Name+": "+format, args...)
		}
		at, ok := number, direct
		if !direct {
			at, ok = slicePort(slice, port.Name, problem)
		}
		if ok {
			found.add(slice, at, protocol, problem)
		}
	}
	return found.best(s.object.Spec.IPFamilies)
}

// protocol returns what is spoken at a port.
func (s *service) protocol(port *corev1.ServicePort, b route.Backend) route.Protocol {
	p, ok := route.AppProtocol(deref(port.AppProtocol, ""))
	if !ok {
		s.problem("spec.ports", "appProtocol %q of port %s is not spoken here, http is: write http, https, kubernetes.io/h2c or grpc, or leave it out", *port.AppProtocol, b.Port)
	}
	return p
}

// directPort returns the number of a port of the Pods themselves: a headless
// Service need not list any.
func (s *service) directPort(port string) (uint16, bool) {
	if s.object.Spec.ClusterIP != corev1.ClusterIPNone || len(s.object.Spec.Ports) > 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return uint16(n), err == nil && n > 0
}

// servicePort returns the port that an Ingress calls by name or number.
// EndpointSlices list it under its name.
func servicePort(s *corev1.Service, port string) (*corev1.ServicePort, bool) {
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != "" {
			continue
		}
		var number [10]byte
		if p.Name == port || string(strconv.AppendInt(number[:0], int64(p.Port), 10)) == port {
			return p, true
		}
	}
	return &corev1.ServicePort{}, false
}
