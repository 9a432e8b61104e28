package kube

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/route"
)

// candidates are the addresses of a Service port.
type candidates struct {
	// zone is where this node is, "" for nowhere. byZone has an endpoint without a
	// hint be for the zone that it is in itself.
	zone   string
	byZone bool
	// by are they by how good they are and by family: [ready, serving while
	// terminating][IPv4, IPv6].
	by [2][2][]candidate
}

// A candidate is an endpoint, with what is known of its zones.
type candidate struct {
	route.Endpoint
	// hinted says that it is for some zones, near that ours is one of them.
	hinted, near bool
}

// clear takes them all away.
func (c *candidates) clear() {
	for rank := range c.by {
		for family := range c.by[rank] {
			clear(c.by[rank][family]) // who has left is not kept by his name
			c.by[rank][family] = c.by[rank][family][:0]
		}
	}
}

func (c *candidates) put(rank int, e candidate) {
	family := &c.by[rank][familyIndex(e.Addr.Addr().Is6())]
	*family = append(*family, e)
}

// add takes what can be used of s, and tells problem of the rest. An API server
// refuses such slices; a folder may hold them.
func (c *candidates) add(s *discoveryv1.EndpointSlice, port uint16, protocol route.Protocol,
	problem func(format string, args ...any)) {
	if s.AddressType == discoveryv1.AddressTypeFQDN {
		return
	}
	for i := range s.Endpoints {
		e, rank := &s.Endpoints[i], 0
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
		hinted, near := c.zones(e)
		c.put(rank, candidate{route.Endpoint{
			Addr:     netip.AddrPortFrom(addr, port),
			Protocol: protocol,
			ID:       podUID(e.TargetRef),
		}, hinted, near})
	}
}

// zones reports whether an endpoint is for some zones, and for ours.
func (c *candidates) zones(e *discoveryv1.Endpoint) (hinted, near bool) {
	switch {
	case e.Hints != nil && len(e.Hints.ForZones) > 0:
		return true, slices.ContainsFunc(e.Hints.ForZones, func(z discoveryv1.ForZone) bool { return z.Name == c.zone })
	case c.byZone && e.Zone != nil:
		return true, *e.Zone == c.zone
	}
	return false, false
}

// nearest returns those of ready endpoints that are for our zone, or all where
// that cannot be told of one, or there is none.
func (c *candidates) nearest(ready []candidate) []candidate {
	if c.zone == "" || slices.ContainsFunc(ready, func(e candidate) bool { return !e.hinted }) ||
		!slices.ContainsFunc(ready, func(e candidate) bool { return e.near }) {
		return ready
	}
	return slices.DeleteFunc(ready, func(e candidate) bool { return !e.near })
}

// close reports whether a Service's own endpoints are to be near its clients
// (spec.trafficDistribution). The API server writes hints for that; where it does
// not, as for a Service without a selector, the zones of the endpoints say it.
func (s *service) close() bool {
	switch deref(s.object.Spec.TrafficDistribution, "") {
	case corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone,
		corev1.ServiceTrafficDistributionPreferSameNode:
		return true
	}
	return false
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
	for rank, byFamily := range c.by {
		for _, f := range order {
			found := byFamily[f]
			if len(found) == 0 {
				continue
			}
			if rank == 0 {
				found = c.nearest(found)
				for _, e := range c.by[1][f] {
					e.Leaving = true
					found = append(found, e)
				}
			}
			// Stable: who is ready stands before the same one leaving.
			slices.SortStableFunc(found, func(a, b candidate) int {
				return cmp.Or(a.Addr.Addr().Compare(b.Addr.Addr()), cmp.Compare(a.Addr.Port(), b.Addr.Port()))
			})
			found = slices.CompactFunc(found, func(a, b candidate) bool { return a.Addr == b.Addr })
			out := make([]route.Endpoint, len(found))
			for i, e := range found {
				out[i] = e.Endpoint
			}
			return out
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
