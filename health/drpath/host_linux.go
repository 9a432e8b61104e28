package drpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// remembered is how long a server's place on the network is taken as known.
const remembered = 10 * time.Second

// A host is where a server is found.
type host struct {
	here  bool // it is this node
	wire  *wire
	mac   mac
	until time.Time

	// This node's addresses towards it.
	own mac
	src netip.Addr
}

// host looks a server up, or waits for its answer to ARP until ctx ends.
func (p *Prober) host(ctx context.Context, vip, server netip.Addr) (host, error) {
	p.mu.Lock()
	h, ok := p.hosts[[2]netip.Addr{vip, server}]
	p.mu.Unlock()
	if ok && time.Now().Before(h.until) {
		return h, nil
	}
	h, err := p.route(vip, server)
	if err != nil {
		return host{}, err
	}
	if !h.here {
		if h.mac, err = h.resolve(ctx, server); err != nil {
			return host{}, err
		}
	}
	h.until = time.Now().Add(remembered)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[[2]netip.Addr{vip, server}] = h
	return h, nil
}

// forget makes the next attempt look the server up again.
func (p *Prober) forget(vip, server netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.hosts, [2]netip.Addr{vip, server})
}

// route finds the interface and address towards a server.
func (p *Prober) route(vip, server netip.Addr) (host, error) {
	routes, err := netlink.RouteGet(server.AsSlice())
	if err != nil || len(routes) == 0 {
		return host{}, fmt.Errorf("no route to %s: %w", server, err)
	}
	r := routes[0]
	if r.Type == unix.RTN_LOCAL {
		return host{here: true}, nil
	}
	if gw, ok := netip.AddrFromSlice(r.Gw); ok {
		return host{}, fmt.Errorf("%s is behind router %s: direct routing reaches servers of its own network alone", server, gw.Unmap())
	}
	src, err := source(r, vip, server)
	if err != nil {
		return host{}, err
	}
	ifi, err := net.InterfaceByIndex(r.LinkIndex)
	if err != nil {
		return host{}, err
	}
	if len(ifi.HardwareAddr) != len(mac{}) {
		return host{}, fmt.Errorf("%s has no Ethernet address: direct routing needs one", ifi.Name)
	}
	w, err := p.wire(ifi)
	return host{wire: w, own: mac(ifi.HardwareAddr), src: src}, err
}

// source returns this node's address to ask from: of the server's network, and
// not the virtual address, which the kernel may choose where this node owns it
// (RFC 6724, rule 8). The server has it too, and would answer to itself.
func source(r netlink.Route, vip, server netip.Addr) (netip.Addr, error) {
	link, err := netlink.LinkByIndex(r.LinkIndex)
	if err != nil {
		return netip.Addr{}, err
	}
	addrs, err := netlink.AddrList(link, family(server))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range addrs {
		have, _ := netip.AddrFromSlice(a.IP)
		if have = have.Unmap(); have != vip && a.Contains(server.AsSlice()) {
			return have, nil
		}
	}
	if src, ok := netip.AddrFromSlice(r.Src); ok && src.Unmap() != vip {
		return src.Unmap(), nil
	}
	return netip.Addr{}, fmt.Errorf("%s has no address to ask %s from", link.Attrs().Name, server)
}

func family(a netip.Addr) int {
	if a.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// wire returns the socket of an interface.
func (p *Prober) wire(ifi *net.Interface) (*wire, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.wires[ifi.Index]; w != nil {
		return w, nil
	}
	w, err := openWire(ifi)
	if err != nil {
		return nil, err
	}
	p.wires[ifi.Index] = w
	return w, nil
}

// resolve asks for the server's MAC address. The kernel's neighbor table is
// not used: it may be old, or have no entry for a server that only ever gets
// packets in its director's frames.
func (h host) resolve(ctx context.Context, server netip.Addr) (mac, error) {
	f, err := h.wire.open(claimed{addr: server})
	if err != nil {
		return mac{}, err
	}
	defer h.wire.drop(f)
	ask := whoHas(h.own, broadcast, h.src, server, false)
	if err := h.wire.send(ask); err != nil {
		return mac{}, err
	}
	again := time.NewTicker(patience(ctx))
	defer again.Stop()
	for {
		select {
		case e := <-f.events:
			if e.kind == claim {
				return e.mac, nil
			}
		case <-again.C:
			if err := h.wire.send(ask); err != nil {
				return mac{}, err
			}
		case <-ctx.Done():
			return mac{}, ended(ctx, "%s does not answer on %s, not even ARP: is it up?", server, h.wire.name)
		}
	}
}

// ownedHere reports whether this node has the address on an interface that
// answers for it, and not on lo alone.
func ownedHere(addr netip.Addr) (bool, error) {
	addrs, err := netlink.AddrList(nil, family(addr))
	if err != nil {
		return false, fmt.Errorf("addresses of this node: %w", err)
	}
	for _, a := range addrs {
		have, _ := netip.AddrFromSlice(a.IP)
		if have.Unmap() != addr {
			continue
		}
		ifi, err := net.InterfaceByIndex(a.LinkIndex)
		if err == nil && ifi.Flags&net.FlagLoopback == 0 {
			return true, nil
		}
	}
	return false, nil
}

// probeHere asks the kernel of this node, which is one of its own servers. A
// connection to the virtual address would not tell: where the service is
// programmed, IPVS takes what is sent locally too, and any server may answer.
func probeHere(vip netip.AddrPort, server netip.Addr) error {
	routes, err := netlink.RouteGet(vip.Addr().AsSlice())
	if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
		return fmt.Errorf("%s does not stand on lo of %s, which is this node", vip.Addr(), server)
	}
	found, err := listener(vip)
	if err != nil {
		return err
	}
	if !found {
		return refusedError{vip, server}
	}
	return nil
}

// listener reports whether a socket would get a connection to the address. It
// is the kernel's own look-up (inet_diag_find_one_icsk in
// net/ipv4/inet_diag.c), and so knows of wildcard and dual-stack sockets.
func listener(addr netip.AddrPort) (bool, error) {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	req.AddData(diagRequest(addr))
	_, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask the kernel who listens on %s: %w", addr, err)
	}
	return true, nil
}

// A diagRequest is struct inet_diag_req_v2 (linux/inet_diag.h) for the socket
// that would take a connection to the address.
type diagRequest netip.AddrPort

// Len is the size of the struct.
func (diagRequest) Len() int { return 56 }

// Serialize returns the struct.
func (r diagRequest) Serialize() []byte {
	addr := netip.AddrPort(r)
	b := make([]byte, r.Len())
	b[0], b[1] = unix.AF_INET, unix.IPPROTO_TCP
	if addr.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // all states
	binary.BigEndian.PutUint16(b[8:], addr.Port())
	copy(b[12:], addr.Addr().AsSlice())
	for i := 48; i < 56; i++ {
		b[i] = 0xff // no cookie
	}
	return b
}
