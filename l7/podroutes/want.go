// Package podroutes makes the Pods of a cluster reachable from an edge node that
// is not a member of it: a route to each Node's Pod network, by way of the Node
// itself ("host-gw"). Nodes and edge must stand on one network.
//
// It reads the kernel's routes, compares, and changes only those that carry its
// mark. What is there under another one stays, and is told.
package podroutes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Mark is the protocol (rtm_protocol) of the routes that are ours, as in
// `ip route show proto 112`. The number is that of our addresses, too; the
// daemons that have numbers in include/uapi/linux/rtnetlink.h use others.
const Mark = 112

// A Node is what a cluster's Node says of its Pods.
type Node struct {
	Name string         `json:"name"`
	Pods []netip.Prefix `json:"pods"`
	// Addrs are its InternalIPs.
	Addrs []netip.Addr `json:"addresses"`
}

// A Route leads to the Pods of one Node.
type Route struct {
	Pods netip.Prefix `json:"pods"`
	Via  netip.Addr   `json:"via"`
	Node string       `json:"node"`
}

// String is the route as arguments of `ip route`.
func (r Route) String() string { return fmt.Sprintf("%v via %v", r.Pods, r.Via) }

// A Fault is a Node whose Pods, or some of them, cannot be reached.
type Fault struct {
	Node string `json:"node"`
	// Pods are those that are meant; invalid for all of the Node's.
	Pods   netip.Prefix `json:"pods,omitzero"`
	Reason string       `json:"reason"`
}

// ParseNode reads what n says. What cannot be read is left out: an API server
// refuses it.
func ParseNode(n *corev1.Node) Node {
	out := Node{Name: n.Name}
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 && n.Spec.PodCIDR != "" {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(c); err == nil {
			out.Pods = append(out.Pods, p.Masked())
		}
	}
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out.Addrs = append(out.Addrs, ip.Unmap())
		}
	}
	return out
}

// widest is the shortest prefix of a Pod network, by whether it is of IPv6: a
// shorter one would draw in what is nobody's Pod.
var widest = map[bool]int{false: 8, true: 32}

// Want returns the routes to the Pods of nodes, in order, and why some have
// none. local are the addresses of this machine: a Node that has one is this
// machine, whose Pods are here.
func Want(nodes []Node, local []netip.Addr) (routes []Route, faults []Fault) {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	taken := map[netip.Prefix]string{}
	for _, n := range nodes {
		fault := func(format string, args ...any) {
			faults = append(faults, Fault{Node: n.Name, Reason: fmt.Sprintf(format, args...)})
		}
		if slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool { return slices.Contains(local, a) }) {
			continue
		}
		if len(n.Pods) == 0 {
			fault("has no podCIDR: the cluster's network gives addresses out by itself; set pod_routes = \"none\" and route by its means")
		}
		for _, p := range n.Pods {
			via := slices.IndexFunc(n.Addrs, func(a netip.Addr) bool { return a.Is4() == p.Addr().Is4() })
			inside := slices.IndexFunc(local, p.Contains)
			switch {
			case p.Bits() < widest[p.Addr().Is6()]:
				fault("its podCIDR %v is too wide to be one", p)
			case inside >= 0:
				fault("its podCIDR %v contains %v of this machine", p, local[inside])
			case via < 0:
				fault("has no InternalIP of the family of its podCIDR %v", p)
			case p.Contains(n.Addrs[via]):
				fault("its podCIDR %v contains its own address %v", p, n.Addrs[via])
			case taken[p] != "":
				fault("its podCIDR %v is that of Node %s", p, taken[p])
			default:
				taken[p] = n.Name
				routes = append(routes, Route{p, n.Addrs[via], n.Name})
			}
		}
	}
	return routes, faults
}

// Found is a route that the kernel has in its main table.
type Found struct {
	Pods netip.Prefix
	Via  netip.Addr // invalid where it has no gateway, or several
	Ours bool       // carries Mark
}

// An Op is one change of the kernel's routes.
type Op struct {
	// Delete removes the route; else it is put there, in place of one of ours
	// to the same Pods.
	Delete bool
	Route
}

// String is the op as arguments of `ip route`.
func (o Op) String() string {
	if o.Delete {
		return "del " + o.Route.String()
	}
	return "replace " + o.Route.String()
}

// Diff returns what leads from have to want. Routes to the same Pods that are
// not ours stay, and are faults. Removals come last: what moves to another Node
// is replaced in one step.
func Diff(have []Found, want []Route) (ops []Op, faults []Fault) {
	for _, w := range want {
		same := func(f Found) bool { return f.Pods == w.Pods }
		switch i := slices.IndexFunc(have, func(f Found) bool { return same(f) && !f.Ours }); {
		case i >= 0:
			faults = append(faults, Fault{w.Node, w.Pods, fmt.Sprintf("another program routes %v, its route stays: ip route show %v", w.Pods, w.Pods)})
		case !slices.ContainsFunc(have, func(f Found) bool { return same(f) && f.Via == w.Via }):
			ops = append(ops, Op{Route: w})
		}
	}
	for _, f := range have {
		if f.Ours && !slices.ContainsFunc(want, func(w Route) bool { return w.Pods == f.Pods }) {
			ops = append(ops, Op{Delete: true, Route: Route{Pods: f.Pods, Via: f.Via}})
		}
	}
	return ops, faults
}
