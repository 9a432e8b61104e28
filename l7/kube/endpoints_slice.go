package kube

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/route"
)

// candidates are the addresses of a Service port, by how good they are and by
// family: [ready, serving while terminating][IPv4, IPv6].
type candidates [2][2][]route.Endpoint

// add takes what can be used of s, and tells problem of the rest. An API server
// refuses such slices; a folder may hold them.
func (c *candidates) add(s *discoveryv1.EndpointSlice, port uint16, protocol route.Protocol,
	problem func(format string, args ...any)) {
	if s.AddressType == discoveryv1.AddressTypeFQDN {
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
