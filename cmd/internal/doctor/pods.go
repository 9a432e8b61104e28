package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// A podRoute is how this machine would reach the Pods of a Node.
type podRoute struct {
	node   string
	prefix netip.Prefix
	// device and gateway are those of the route; err says that there is none.
	device, gateway string
	err             error
	// fallback says that it is the default route.
	fallback bool
}

// podFacts are the ways to Pods.
type podFacts struct {
	routes []podRoute
	// unlisted is why the Nodes' ranges are not known; "" where they are.
	unlisted string
	// ejected are endpoints that the running proxy asks last, and why.
	ejected []string
	asked   int
	// hostGateway says that portico makes the routes.
	hostGateway bool
}

// checkPods: this machine has a route to the Pods, and they answer.
func checkPods(ctx context.Context, n *Node) []Finding {
	f := podFacts{hostGateway: n.Config.L7.Kubernetes.PodRoutes}
	f.routes, f.unlisted = readPodRoutes(ctx, n)
	f.ejected, f.asked = readEjected(n.Proxy)
	if f.unlisted != "" && n.Proxy == nil {
		return skip(f.unlisted + ", and no proxy runs that would know of endpoints")
	}
	return judgePods(f)
}

func readEjected(proxy *daemon.Status) (ejected []string, asked int) {
	if proxy == nil {
		return nil, 0
	}
	for _, b := range proxy.L7.Engine.Backends {
		for _, e := range b.Endpoints {
			if asked++; e.Ejected != nil {
				ejected = append(ejected, fmt.Sprintf("%s of %s: %s", e.Addr, b.Backend, e.Ejected.Why))
			}
		}
	}
	return ejected, asked
}

func readPodRoutes(ctx context.Context, n *Node) ([]podRoute, string) {
	k := n.Config.L7.Kubernetes
	if !k.API() {
		return nil, "no API server says where Pods are"
	}
	if path := n.unreadable("l7.kubernetes."); path != "" {
		return nil, path + " is not to be read by this user"
	}
	c, end, err := client(k)
	if err != nil {
		return nil, err.Error()
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, "the Nodes' ranges of Pods are not known: " + err.Error()
	}
	var out []podRoute
	for _, node := range list.Items {
		for _, cidr := range node.Spec.PodCIDRs {
			if p, err := netip.ParsePrefix(cidr); err == nil {
				out = append(out, routeTo(node.Name, p))
			}
		}
	}
	if len(out) == 0 {
		return nil, "no Node has a podCIDR: the network plugin gives addresses out by itself"
	}
	return out, ""
}

// routeTo asks the kernel for the route to the first Pod of a range.
func routeTo(node string, p netip.Prefix) podRoute {
	r := podRoute{node: node, prefix: p}
	pod := p.Addr().Next().Next() // the first is often the bridge's own
	routes, err := netlink.RouteGetWithOptions(net.IP(pod.AsSlice()), &netlink.RouteGetOptions{FIBMatch: true})
	if err != nil || len(routes) == 0 {
		r.err = fmt.Errorf("no route to %s: %w", pod, err)
		return r
	}
	route := routes[0]
	if link, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
		r.device = link.Attrs().Name
	}
	if route.Gw != nil {
		r.gateway = route.Gw.String()
	}
	if route.Dst == nil {
		r.fallback = true
	} else if ones, _ := route.Dst.Mask.Size(); ones == 0 {
		r.fallback = true
	}
	return r
}

// manyEjected is the share of endpoints above which the way to them is in
// doubt rather than they.
const manyEjected = 0.5

func judgePods(f podFacts) []Finding {
	var out []Finding
	const why = "requests for Pods there are answered 502"
	for _, r := range f.routes {
		cure := []string{fmt.Sprintf("ip route get %s", r.prefix.Addr().Next().Next()), `editor /etc/portico/portico.toml   # pod_routes = "host-gw" in [l7.kubernetes], for an edge on one network with the Nodes`}
		if f.hostGateway {
			cure = []string{"portico status"}
		}
		switch {
		case r.err != nil:
			out = append(out, fail(fmt.Sprintf("there is no route to the Pods of %s (%s)", r.node, r.prefix), why, cure...))
		case r.fallback:
			out = append(out, warn(fmt.Sprintf("the Pods of %s (%s) are reached by the default route, %s on %s", r.node, r.prefix, r.gateway, r.device), "unless that router knows them, "+why, cure...))
		}
	}
	if len(f.ejected) > 0 {
		found := fmt.Sprintf("%d of %d endpoints did not answer lately: %s", len(f.ejected), f.asked, few(f.ejected))
		cure := "portico status --json | jq .proxy.l7.engine.backends"
		if float64(len(f.ejected)) > manyEjected*float64(f.asked) {
			out = append(out, fail(found, "the way to the Pods is in doubt rather than they", cure))
		} else {
			out = append(out, warn(found, "they are asked last", cure))
		}
	}
	if f.unlisted != "" {
		out = append(out, skipped(f.unlisted))
	}
	return orOK(out, fmt.Sprintf("there are routes to all %d ranges of Pods", len(f.routes)))
}

func few(all []string) string {
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + ", ..."
	}
	return strings.Join(all, ", ")
}
