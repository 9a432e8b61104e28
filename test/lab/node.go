package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Node is a machine of the laboratory: a network namespace with lo up.
type Node struct {
	*namespace
	lab  *Lab
	dir  string
	port atomic.Uint32 // last source port taken
}

// Node adds a machine.
func (l *Lab) Node(name string) *Node {
	l.t.Helper()
	n := &Node{namespace: l.namespace(name), lab: l, dir: l.path(name)}
	// Duplicate address detection would keep every IPv6 address, link-local
	// ones too, out of use for its first seconds. The kernel goes by the
	// larger of the two values.
	n.Sysctl("net.ipv6.conf.all.accept_dad", "0")
	n.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	n.LinkUp("lo")
	return n
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// Dir is a directory of the node's own, with a path short enough for sockets.
func (n *Node) Dir() string { return n.dir }

// Do runs fn inside the node. Goroutines that fn starts are not inside;
// sockets that fn opens stay inside for good.
func (n *Node) Do(fn func()) {
	n.lab.t.Helper()
	n.check("enter", n.do(fn))
}

// Attach plugs the node into the network with a new interface that has the
// addresses, given as prefixes ("192.0.2.1/24").
func (n *Node) Attach(nw *Network, ifname string, prefixes ...string) {
	n.lab.t.Helper()
	port := nw.newPort(n, ifname)
	n.LinkUp(ifname)
	n.awaitUp(n.lab.t, ifname)
	nw.awaitUp(n.lab.t, port)
	for _, p := range prefixes {
		n.AddAddr(ifname, p)
	}
}

// AddAddr gives an interface an address.
func (n *Node) AddAddr(ifname, prefix string) {
	n.lab.t.Helper()
	n.check("add "+prefix+" to "+ifname, n.links.AddrAdd(n.link(ifname), n.addr(prefix)))
}

// DelAddr takes an address from an interface.
func (n *Node) DelAddr(ifname, prefix string) {
	n.lab.t.Helper()
	n.check("remove "+prefix+" from "+ifname, n.links.AddrDel(n.link(ifname), n.addr(prefix)))
}

// HasAddr reports whether an interface has the address, and not tentatively.
func (n *Node) HasAddr(ifname, addr string) bool {
	n.lab.t.Helper()
	want, err := netip.ParseAddr(addr)
	n.check("address", err)
	addrs, err := n.links.AddrList(n.link(ifname), netlink.FAMILY_ALL)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changed meanwhile
		addrs, err = n.links.AddrList(n.link(ifname), netlink.FAMILY_ALL)
	}
	n.check("addresses of "+ifname, err)
	for _, a := range addrs {
		if got, ok := netip.AddrFromSlice(a.IP); ok && got.Unmap() == want && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			return true
		}
	}
	return false
}

// Route sends what is for the prefix to the neighbour via; the prefix
// "default" stands for everything of via's family.
func (n *Node) Route(prefix, via string) {
	n.lab.t.Helper()
	gw := net.ParseIP(via)
	if prefix == "default" {
		prefix = "0.0.0.0/0"
		if gw.To4() == nil {
			prefix = "::/0"
		}
	}
	dst, err := netlink.ParseIPNet(prefix)
	n.check("route", err)
	n.check("route "+prefix+" via "+via, n.links.RouteReplace(&netlink.Route{Dst: dst, Gw: gw}))
}

// LinkDown takes an interface down, as ip link set down does: its routes and
// IPv6 addresses go. To pull its cable, use Network.Unplug.
func (n *Node) LinkDown(ifname string) {
	n.lab.t.Helper()
	n.check(ifname+" down", n.links.LinkSetDown(n.link(ifname)))
}

// LinkUp takes an interface up.
func (n *Node) LinkUp(ifname string) {
	n.lab.t.Helper()
	n.check(ifname+" up", n.links.LinkSetUp(n.link(ifname)))
}

// NoOffload turns off what would let a packet with an unfinished checksum or
// more than one segment onto an interface.
func (n *Node) NoOffload(ifname string) {
	n.lab.t.Helper()
	n.Output("ethtool", "-K", ifname, "rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
}

// Sysctl sets a kernel parameter of the node. In a key with a slash, slashes
// separate its parts, and dots belong to interface names.
func (n *Node) Sysctl(key, value string) {
	n.lab.t.Helper()
	n.check("sysctl", n.writeSysctl(key, value))
}

// GetSysctl returns a kernel parameter of the node.
func (n *Node) GetSysctl(key string) string {
	n.lab.t.Helper()
	var b []byte
	var err error
	n.Do(func() { b, err = os.ReadFile(sysctlPath(key)) })
	n.check("sysctl", err)
	return strings.TrimSpace(string(b))
}

// NoReversePathFilter lets the node take packets that its own answer would
// not leave by, as backends of direct routing must.
func (n *Node) NoReversePathFilter() {
	n.lab.t.Helper()
	n.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	n.Sysctl("net.ipv4.conf.default.rp_filter", "0")
	links, err := n.links.LinkList()
	n.check("interfaces", err)
	for _, l := range links {
		n.Sysctl("net/ipv4/conf/"+l.Attrs().Name+"/rp_filter", "0")
	}
}

func (n *Node) link(ifname string) netlink.Link {
	n.lab.t.Helper()
	l, err := n.links.LinkByName(ifname)
	n.check(ifname, err)
	return l
}

func (n *Node) addr(prefix string) *netlink.Addr {
	n.lab.t.Helper()
	a, err := netlink.ParseAddr(prefix)
	n.check("address", err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// check ends the test if err is not nil.
func (n *Node) check(what string, err error) {
	n.lab.t.Helper()
	if err != nil {
		n.lab.t.Fatalf("%s: %s: %v", n.name, what, err)
	}
}
