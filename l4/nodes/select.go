package nodes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l4"
)

// A LeftOut is a Node that a selector selects and that serves nobody.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// choose returns those of the Nodes that can be servers and those that cannot,
// each in order of their names.
func choose(all []*corev1.Node) (chosen []l4.Node, out []LeftOut) {
	all = slices.SortedFunc(slices.Values(all), func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range all {
		addrs := internal(n)
		if why := unfit(n, addrs); why != "" {
			out = append(out, LeftOut{n.Name, why})
			continue
		}
		chosen = append(chosen, l4.Node{Name: n.Name, Addrs: addrs})
	}
	return chosen, out
}

// unfit says why a Node cannot be a server, or nothing where it can.
func unfit(n *corev1.Node, addrs []netip.Addr) string {
	_, excluded := n.Labels[corev1.LabelNodeExcludeBalancers]
	switch {
	case n.DeletionTimestamp != nil:
		return "is being deleted"
	case excluded:
		return "has the label " + corev1.LabelNodeExcludeBalancers
	case n.Spec.Unschedulable:
		return "is cordoned"
	case len(addrs) == 0:
		return "has no address of type InternalIP"
	}
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			return ""
		}
		return fmt.Sprintf("is not ready: %s", cmp.Or(c.Message, c.Reason, "no reason given"))
	}
	return "is not ready: its kubelet has not said so yet"
}

// internal returns the first InternalIP of each family. A second one would give
// the Node twice its share.
func internal(n *corev1.Node) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range n.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		ip = ip.Unmap()
		same := func(o netip.Addr) bool { return o.Is4() == ip.Is4() }
		if a.Type == corev1.NodeInternalIP && err == nil && usable(ip) && !slices.ContainsFunc(addrs, same) {
			addrs = append(addrs, ip)
		}
	}
	return addrs
}

func usable(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && ip.Zone() == ""
}
