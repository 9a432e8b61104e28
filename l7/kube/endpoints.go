package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/route"
)

// Endpoints returns the addresses of each backend, sorted; none for one that
// cannot be served. It depends on Services and Slices alone.
//
// Ready endpoints are used. Where there is none, those are that still serve
// while they terminate, as kube-proxy does (KEP-1669): the last Pod of a
// rolling update answers until its successor can. Beside ready ones they are
// leaving: clients that belong there may stay. Of a Service with two address
// families the first one in its ipFamilies that has an endpoint is used, so
// that no Pod counts twice.
func Endpoints(o *Objects, backends []route.Backend) (map[route.Backend][]route.Endpoint, []Problem) {
	x := index(o, backends)
	out := make(map[route.Backend][]route.Endpoint, len(backends))
	for _, b := range backends {
		if b == (route.Backend{}) {
			continue
		}
		if _, ok := out[b]; !ok {
			out[b] = x.endpoints(b)
		}
	}
	return out, x.problems
}

// serviceName is the namespace and name of a Service.
type serviceName struct{ namespace, name string }

// An endpointIndex holds what belongs to the Services that are asked for.
type endpointIndex struct {
	services map[serviceName]*corev1.Service
	slices   map[serviceName][]*discoveryv1.EndpointSlice
	problems []Problem
	reported map[Problem]bool
}

func index(o *Objects, backends []route.Backend) *endpointIndex {
	x := &endpointIndex{
		services: make(map[serviceName]*corev1.Service, len(backends)),
		slices:   make(map[serviceName][]*discoveryv1.EndpointSlice, len(backends)),
		reported: make(map[Problem]bool),
	}
	for _, b := range backends {
		x.services[serviceName{b.Namespace, b.Service}] = nil
	}
	for _, s := range o.Services {
		name := serviceName{s.Namespace, s.Name}
		if _, wanted := x.services[name]; wanted {
			x.services[name] = s
		}
	}
	for _, s := range o.Slices {
		name := serviceName{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}
		if _, wanted := x.services[name]; wanted {
			x.slices[name] = append(x.slices[name], s)
		}
	}
	return x
}

func (x *endpointIndex) problem(b route.Backend, field, format string, args ...any) {
	p := Problem{Object: "Service " + b.Namespace + "/" + b.Service, Field: field, Text: fmt.Sprintf(format, args...)}
	if !x.reported[p] { // by another port of the Service
		x.reported[p] = true
		x.problems = append(x.problems, p)
	}
}

func (x *endpointIndex) endpoints(b route.Backend) []route.Endpoint {
	name := serviceName{b.Namespace, b.Service}
	service := x.services[name]
	switch {
	case service == nil:
		x.problem(b, "", "is named by an Ingress but does not exist, its routes answer 503: create it or correct the Ingress")
		return nil
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		x.problem(b, "spec.type", "ExternalName is not served, its routes answer 503: use a Service with endpoints")
		return nil
	}
	port, ok := servicePort(service, b.Port)
	if !ok {
		x.problem(b, "spec.ports", "no TCP port is %s, as an Ingress names it, its routes answer 503: add the port or correct the Ingress", b.Port)
		return nil
	}
	// By name, so that the problems do not depend on the order of arrival.
	slices.SortFunc(x.slices[name], func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	protocol, ok := route.AppProtocol(deref(port.AppProtocol, ""))
	if !ok {
		x.problem(b, "spec.ports", "appProtocol %q of port %s is not spoken here, http is: write http, https, kubernetes.io/h2c or grpc, or leave it out", *port.AppProtocol, b.Port)
	}
	var found candidates
	for _, s := range x.slices[name] {
		found.add(s, port.Name, protocol, func(format string, args ...any) {
			x.problem(b, "", "EndpointSlice "+s.Name+": "+format, args...)
		})
	}
	return found.best(service.Spec.IPFamilies)
}

// servicePort returns the port that an Ingress calls by name or number.
// EndpointSlices list it under its name.
func servicePort(s *corev1.Service, port string) (*corev1.ServicePort, bool) {
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != "" {
			continue
		}
		if p.Name == port || strconv.Itoa(int(p.Port)) == port {
			return p, true
		}
	}
	return nil, false
}

// candidates are the addresses of a Service port, by how good they are and by
// family: [ready, serving while terminating][IPv4, IPv6].
type candidates [2][2][]route.Endpoint

// add takes what can be used of s, and tells problem of the rest. An API server
// refuses such slices; a folder may hold them.
func (c *candidates) add(s *discoveryv1.EndpointSlice, portName string, protocol route.Protocol,
	problem func(format string, args ...any)) {
	port, ok := slicePort(s, portName, problem)
	if !ok || s.AddressType == discoveryv1.AddressTypeFQDN {
		return
	}
	for _, e := range s.Endpoints {
		rank := 0
		switch cond := e.Conditions; {
		case deref(cond.Ready, true):
		case deref(cond.Serving, true) && deref(cond.Terminating, false):
			rank = 1
		default:
			continue
		}
		if len(e.Addresses) == 0 {
			continue
		}
		// All addresses of an endpoint are the same Pod.
		addr, err := netip.ParseAddr(e.Addresses[0])
		addr = addr.Unmap()
		if err != nil || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
			problem("%q is no address of a Pod, and is left out", e.Addresses[0])
			continue
		}
		family := &c[rank][familyIndex(addr.Is6())]
		*family = append(*family, route.Endpoint{
			Addr:     netip.AddrPortFrom(addr, port),
			Protocol: protocol,
			ID:       podUID(e.TargetRef),
		})
	}
}

// podUID returns the UID of the Pod that an endpoint is, "" for another object.
func podUID(r *corev1.ObjectReference) string {
	if r == nil || r.Kind != "Pod" {
		return ""
	}
	return string(r.UID)
}

// slicePort returns the number of the TCP port of that name in s. A port
// without a number means all ports and is no place to send to.
func slicePort(s *discoveryv1.EndpointSlice, name string, problem func(format string, args ...any)) (uint16, bool) {
	for _, p := range s.Ports {
		if deref(p.Name, "") != name || deref(p.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP {
			continue
		}
		if n := deref(p.Port, 0); n > 0 && n <= 65535 {
			return uint16(n), true
		}
		if p.Port != nil {
			problem("%d is no port: allowed are 1 to 65535", *p.Port)
		}
	}
	return 0, false
}

// best returns the endpoints to use, sorted, each once: a rewrite may hold one
// in two slices for a moment.
func (c *candidates) best(families []corev1.IPFamily) []route.Endpoint {
	order := []int{familyIndex(false), familyIndex(true)}
	if len(families) > 0 && families[0] == corev1.IPv6Protocol {
		slices.Reverse(order)
	}
	for rank, byFamily := range c {
		for _, f := range order {
			found := byFamily[f]
			if len(found) == 0 {
				continue
			}
			if rank == 0 {
				for _, e := range c[1][f] {
					e.Leaving = true
					found = append(found, e)
				}
			}
			// Stable: who is ready stands before the same one leaving.
			slices.SortStableFunc(found, func(a, b route.Endpoint) int {
				return cmp.Or(a.Addr.Addr().Compare(b.Addr.Addr()), cmp.Compare(a.Addr.Port(), b.Addr.Port()))
			})
			return slices.CompactFunc(found, func(a, b route.Endpoint) bool { return a.Addr == b.Addr })
		}
	}
	return nil
}

func familyIndex(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
