package bfd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Of RFC 5881: packets are sent with the greatest TTL and taken with no other,
// which no sender behind a router can arrange (section 5), to a port of their
// own from one of those that clients have (section 4).
const (
	port         = 3784
	ttl          = 255
	firstSource  = 49152
	sourcePorts  = 65536 - firstSource
	trafficClass = 0xc0 // network control
)

// heard is a packet that came over one link.
type heard struct {
	from netip.Addr
	Packet
}

// receiver takes the packets of all sessions of a family.
type receiver struct {
	net.PacketConn
	read func(b []byte) (n, ttl int, from net.Addr, err error)
}

// listen opens the receiver of a family.
func listen(ctx context.Context, v6 bool, port int) (*receiver, error) {
	network := "udp4"
	if v6 {
		network = "udp6"
	}
	c, err := new(net.ListenConfig).ListenPacket(ctx, network, ":"+strconv.Itoa(port))
	if err != nil {
		return nil, fmt.Errorf("%w: no other program may speak BFD here", err)
	}
	r := &receiver{PacketConn: c}
	if v6 {
		p := ipv6.NewPacketConn(c)
		err = p.SetControlMessage(ipv6.FlagHopLimit, true)
		r.read = func(b []byte) (int, int, net.Addr, error) {
			n, cm, from, err := p.ReadFrom(b)
			if cm == nil {
				return n, 0, from, err
			}
			return n, cm.HopLimit, from, err
		}
	} else {
		p := ipv4.NewPacketConn(c)
		err = p.SetControlMessage(ipv4.FlagTTL, true)
		r.read = func(b []byte) (int, int, net.Addr, error) {
			n, cm, from, err := p.ReadFrom(b)
			if cm == nil {
				return n, 0, from, err
			}
			return n, cm.TTL, from, err
		}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("ask for the ttl of packets: %w", err)
	}
	return r, nil
}

// receive returns the next packet that is one, and was not forwarded.
func (r *receiver) receive() (heard, error) {
	b := make([]byte, 256)
	for {
		n, hops, from, err := r.read(b)
		if err != nil {
			return heard{}, err
		}
		a, isUDP := from.(*net.UDPAddr)
		if !isUDP || hops != ttl {
			continue
		}
		if p, err := Parse(b[:n]); err == nil {
			return heard{a.AddrPort().Addr().Unmap().WithZone(""), p}, nil
		}
	}
}

// dial opens what a session sends by: one port as long as it lasts. The kernel
// chooses the source address for each packet, as it does for TCP.
func dial(ctx context.Context, v6 bool) (net.PacketConn, error) {
	network := "udp4"
	if v6 {
		network = "udp6"
	}
	var c net.PacketConn
	var err error
	for range 16 { // another session or program may have the port
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, ":"+strconv.Itoa(firstSource+rand.IntN(sourcePorts)))
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if v6 {
		p := ipv6.NewPacketConn(c)
		err = p.SetHopLimit(ttl)
		_ = p.SetTrafficClass(trafficClass) // better, not needed
	} else {
		p := ipv4.NewPacketConn(c)
		err = p.SetTTL(ttl)
		_ = p.SetTOS(trafficClass)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("set the ttl of packets: %w", err)
	}
	return c, nil
}
