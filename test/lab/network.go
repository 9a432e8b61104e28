package lab

import (
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// A Network is one segment: a switch in a namespace of its own.
type Network struct {
	*namespace
	lab    *Lab
	bridge netlink.Link
	ports  map[*Node][]string // the switch's ends of the node's cables
}

// Network adds a segment. Its switch floods all multicast, and forwards from
// the moment a node is attached.
func (l *Lab) Network(name string) *Network {
	l.t.Helper()
	nw := &Network{namespace: l.namespace(name), lab: l, ports: map[*Node][]string{}}
	// The switch itself must not speak on the segment.
	nw.check("ipv6 off", nw.writeSysctl("net.ipv6.conf.default.disable_ipv6", "1"))
	snooping := false
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	br := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	nw.check("add bridge", nw.links.LinkAdd(br))
	nw.check("bridge up", nw.links.LinkSetUp(br))
	nw.bridge = br
	return nw
}

// firstPortIndex is above the interface indexes of any node.
const firstPortIndex = 1000

// newPort lays a cable from the switch to a new interface of the node.
func (nw *Network) newPort(n *Node, ifname string) (port string) {
	nw.lab.t.Helper()
	cable := nw.cables() + 1
	port = fmt.Sprintf("p%d", cable)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	// The kernel reports a change of carrier at once only for an interface
	// whose index differs from its peer's (linkwatch_urgent_event in
	// net/core/link_watch.c), which would be chance between namespaces.
	// Otherwise it takes a second.
	attrs.Index = firstPortIndex + cable
	attrs.MasterIndex = nw.bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: ifname, PeerNamespace: netlink.NsFd(n.fd)}
	nw.check("attach "+n.name, nw.links.LinkAdd(veth))
	nw.check(port+" up", nw.links.LinkSetUp(veth))
	nw.ports[n] = append(nw.ports[n], port)
	return port
}

func (nw *Network) cables() (n int) {
	for _, ports := range nw.ports {
		n += len(ports)
	}
	return n
}

// Unplug pulls the node's cables out of the switch: its interfaces lose their
// carrier, and keep addresses and routes.
func (nw *Network) Unplug(n *Node) {
	nw.lab.t.Helper()
	for _, port := range nw.ports[n] {
		nw.check(port+" down", nw.links.LinkSetDown(nw.port(port)))
	}
}

// Plug puts the node's cables back.
func (nw *Network) Plug(n *Node) {
	nw.lab.t.Helper()
	for _, port := range nw.ports[n] {
		nw.check(port+" up", nw.links.LinkSetUp(nw.port(port)))
	}
}

// Deaden makes the switch pass on nothing from or to the node, while the node's
// carrier stays up: a dead port.
func (nw *Network) Deaden(n *Node) {
	nw.lab.t.Helper()
	for _, port := range nw.ports[n] {
		nw.check(port+" off the switch", nw.links.LinkSetNoMaster(nw.port(port)))
	}
}

// Revive undoes Deaden.
func (nw *Network) Revive(n *Node) {
	nw.lab.t.Helper()
	for _, port := range nw.ports[n] {
		nw.check(port+" on the switch", nw.links.LinkSetMaster(nw.port(port), nw.bridge))
	}
}

// Ports are the switch's ends of the node's cables: interfaces in the
// network's namespace.
func (nw *Network) Ports(n *Node) []string { return slices.Clone(nw.ports[n]) }

// A Shape is how a line treats what is sent to a node.
type Shape struct {
	Delay, Jitter time.Duration
	Loss          float64 // part of the packets, from 0 to 1
}

// Shape makes the node's lines slow or lossy, for what it receives; the zero
// Shape makes them perfect again. It needs the kernel's sch_netem.
func (nw *Network) Shape(n *Node, s Shape) {
	nw.lab.t.Helper()
	for _, port := range nw.ports[n] {
		q := netlink.NewNetem(
			netlink.QdiscAttrs{LinkIndex: nw.port(port).Attrs().Index, Parent: netlink.HANDLE_ROOT},
			netlink.NetemQdiscAttrs{
				Latency: uint32(s.Delay.Microseconds()), Jitter: uint32(s.Jitter.Microseconds()), Loss: float32(s.Loss * 100),
			})
		nw.check("shape "+port+" (sch_netem)", nw.links.QdiscReplace(q))
	}
}

func (nw *Network) port(name string) netlink.Link {
	nw.lab.t.Helper()
	l, err := nw.links.LinkByName(name)
	nw.check(name, err)
	return l
}

func (nw *Network) check(what string, err error) {
	nw.lab.t.Helper()
	if err != nil {
		nw.lab.t.Fatalf("%s: %s: %v", nw.name, what, err)
	}
}
