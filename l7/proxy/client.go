package proxy

import (
	"net"
	"net/netip"
	"time"
)

// A client is who asks: what is the same in all requests of one connection,
// whatever version of HTTP it speaks.
type client struct {
	s     *server
	p     *Proxy
	stats *shard
	// bounds are what the client may do.
	bounds *Bounds

	peer    netip.Addr
	trusted bool
	secure  bool // over TLS
	// forwarded are the field lines about the client that are the same in
	// all its requests.
	forwarded []byte
	// counted is the source that it counts for, see gate.
	counted netip.Addr
}

// newClient returns the client that connects to s from an address.
func newClient(s *server, from net.Addr) *client {
	c := &client{s: s, p: s.p, stats: s.p.counters.pick(), bounds: s.p.bounds.Load(), secure: s.entry.TLS != nil}
	switch a := from.(type) {
	case *net.TCPAddr:
		c.identify(a.AddrPort().Addr())
	case *net.UDPAddr:
		c.identify(a.AddrPort().Addr())
	default:
		c.identify(netip.Addr{})
	}
	return c
}

// identify says from which address c asks.
func (c *client) identify(peer netip.Addr) {
	c.peer = peer.Unmap().WithZone("")
	c.trusted = c.s.trusts(c.peer)
	c.forwarded = c.appendClient(nil)
}

// appendClient appends the lines that are the same in all requests of c.
func (c *client) appendClient(dst []byte) []byte {
	for _, name := range []string{"X-Forwarded-For: ", "X-Real-Ip: "} {
		dst = append(dst, name...)
		dst = append(c.peer.AppendTo(dst), '\r', '\n')
	}
	return append(append(append(dst, "X-Forwarded-Proto: "...), c.scheme()...), '\r', '\n')
}

func (c *client) scheme() string {
	if c.secure {
		return "https"
	}
	return "http"
}

// until is the clock time at which a wait of d that begins now is over; the
// clock may be a grain behind.
func (c *client) until(d time.Duration) int64 {
	return c.p.clock.now() + int64(c.p.grain) + int64(d)
}
