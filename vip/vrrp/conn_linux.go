package vrrp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Endpoint says where a Conn speaks.
type Endpoint struct {
	Interface string
	IPv6      bool
	Peers     []netip.Addr // unicast peers; empty means multicast
	// Virtual are addresses that must not become the source: the virtual
	// addresses come and go.
	Virtual []netip.Addr
	// TTL is what unicast leaves with; 0 means 255.
	TTL int
}

const (
	// ttl proves to receivers that the sender is on the link (RFC 9568, section 5.1.1.3).
	ttl = 255
	// tos is precedence "internetwork control", as keepalived sends it.
	tos = 0xc0
	// bufferSize holds the largest IPv6 message, 255 addresses, and then some.
	bufferSize = 4608
)

// Conn is a raw socket for VRRP on one interface.
type Conn struct {
	send    func(b []byte, dst netip.Addr) error
	receive func(b []byte) (n, ttl int, src net.Addr, dst net.IP, err error)
	raw     net.PacketConn
	source  netip.Prefix
	unicast int // TTL or hop limit
	dsts    []netip.Addr
	in, out []byte
}

// Open opens the socket. It is bound to the interface: nothing is heard from
// or said to another one. When the interface disappears the Conn is dead.
func Open(e Endpoint) (*Conn, error) {
	ifi, err := net.InterfaceByName(e.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s does not exist: create it or name another", e.Interface)
	}
	source, err := e.source(ifi)
	if err != nil {
		return nil, err
	}
	network, local := "ip4:112", "0.0.0.0"
	if e.IPv6 {
		network, local = "ip6:112", "::"
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return bind(c, e.Interface, e.IPv6) }}
	raw, err := lc.ListenPacket(context.Background(), network, local)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("raw socket on %s: %w: the process needs CAP_NET_RAW", e.Interface, err)
	}
	if err != nil {
		return nil, fmt.Errorf("raw socket on %s: %w", e.Interface, err)
	}

	c := &Conn{raw: raw, source: source, unicast: cmp.Or(e.TTL, ttl), dsts: e.Peers, in: make([]byte, bufferSize)}
	if len(c.dsts) == 0 {
		c.dsts = []netip.Addr{Multicast(source.Addr())}
	}
	setup := c.setup4
	if e.IPv6 {
		setup = c.setup6
	}
	if err := setup(ifi, len(e.Peers) == 0); err != nil {
		return nil, errors.Join(fmt.Errorf("set up raw socket on %s: %w", e.Interface, err), raw.Close())
	}
	return c, nil
}

func bind(c syscall.RawConn, name string, v6 bool) error {
	var err error
	if ctl := c.Control(func(fd uintptr) {
		err = unix.BindToDevice(int(fd), name)
		if err == nil && !v6 {
			// keepalived sends without "don't fragment", and so do we.
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
		}
	}); ctl != nil {
		return ctl
	}
	return err
}

// setup4 configures the IPv4 socket and says how to use it.
func (c *Conn) setup4(ifi *net.Interface, multicast bool) error {
	p := ipv4.NewPacketConn(c.raw)
	errs := []error{p.SetTTL(c.unicast), p.SetTOS(tos), p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst, true)}
	if multicast {
		errs = append(errs, p.SetMulticastTTL(ttl), p.SetMulticastLoopback(false), p.SetMulticastInterface(ifi),
			p.JoinGroup(ifi, &net.IPAddr{IP: Multicast(c.source.Addr()).AsSlice()}))
	}
	from := &ipv4.ControlMessage{Src: c.source.Addr().AsSlice(), IfIndex: ifi.Index}
	c.send = func(b []byte, dst netip.Addr) error {
		_, err := p.WriteTo(b, from, &net.IPAddr{IP: dst.AsSlice()})
		return err
	}
	c.receive = func(b []byte) (int, int, net.Addr, net.IP, error) {
		n, cm, src, err := p.ReadFrom(b)
		if err != nil || cm == nil {
			return n, 0, src, nil, err
		}
		return n, cm.TTL, src, cm.Dst, nil
	}
	return errors.Join(errs...)
}

// setup6 is setup4 for IPv6.
func (c *Conn) setup6(ifi *net.Interface, multicast bool) error {
	p := ipv6.NewPacketConn(c.raw)
	errs := []error{p.SetHopLimit(c.unicast), p.SetTrafficClass(tos), p.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst, true)}
	if multicast {
		errs = append(errs, p.SetMulticastHopLimit(ttl), p.SetMulticastLoopback(false), p.SetMulticastInterface(ifi),
			p.JoinGroup(ifi, &net.IPAddr{IP: Multicast(c.source.Addr()).AsSlice()}))
	}
	from := &ipv6.ControlMessage{Src: c.source.Addr().AsSlice(), IfIndex: ifi.Index}
	c.send = func(b []byte, dst netip.Addr) error {
		_, err := p.WriteTo(b, from, &net.IPAddr{IP: dst.AsSlice(), Zone: ifi.Name})
		return err
	}
	c.receive = func(b []byte) (int, int, net.Addr, net.IP, error) {
		n, cm, src, err := p.ReadFrom(b)
		if err != nil || cm == nil {
			return n, 0, src, nil, err
		}
		return n, cm.HopLimit, src, cm.Dst, nil
	}
	return errors.Join(errs...)
}

// source picks the interface's primary address: IPv6 multicast must leave
// from the link-local one (RFC 9568, section 5.1.2.1); a routed unicast peer
// can only answer a global one.
func (e Endpoint) source(ifi *net.Interface) (netip.Prefix, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("read addresses of %s: %w", e.Interface, err)
	}
	linkLocal := e.IPv6 && !slices.ContainsFunc(e.Peers, func(p netip.Addr) bool { return !p.IsLinkLocalUnicast() })
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr()
		if ip.Is6() == e.IPv6 && ip.IsLinkLocalUnicast() == linkLocal && !slices.Contains(e.Virtual, ip) {
			return p, nil
		}
	}
	family := "IPv4"
	switch {
	case linkLocal:
		family = "link-local IPv6"
	case e.IPv6:
		family = "global IPv6"
	}
	return netip.Prefix{}, fmt.Errorf("interface %s has no %s address of its own: give it one to send VRRP from", e.Interface, family)
}

// Source is the address the Conn sends from.
func (c *Conn) Source() netip.Addr { return c.source.Addr() }

// Network is the link's network, in which Source lies.
func (c *Conn) Network() netip.Prefix { return c.source.Masked() }

// Send sends the packet to the multicast group or to every peer. It is not
// for use by several goroutines at once.
func (c *Conn) Send(p Packet) error {
	var errs []error
	for _, dst := range c.dsts {
		c.out = p.Append(c.out[:0], c.source.Addr(), dst)
		errs = append(errs, c.send(c.out, dst))
	}
	return errors.Join(errs...)
}

// Receive waits for the next datagram. The payload is valid until the next call.
func (c *Conn) Receive() (Datagram, error) {
	for {
		n, ttl, src, dst, err := c.receive(c.in)
		if err != nil {
			return Datagram{}, err
		}
		ip, ok := src.(*net.IPAddr)
		if !ok {
			continue
		}
		s, _ := netip.AddrFromSlice(ip.IP)
		d, _ := netip.AddrFromSlice(dst)
		return Datagram{Src: s.Unmap(), Dst: d.Unmap(), TTL: ttl, Payload: c.in[:n]}, nil
	}
}

// Waiting reports whether a datagram waits for Receive.
func (c *Conn) Waiting() bool {
	s, ok := c.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	waiting := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		waiting = err == nil && n > 0
	})
	return err == nil && waiting
}

// Interrupt ends a Receive in progress and all later ones with os.ErrDeadlineExceeded.
func (c *Conn) Interrupt() error { return c.raw.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the socket.
func (c *Conn) Close() error { return c.raw.Close() }
