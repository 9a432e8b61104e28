package proxy

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/proxyproto"
)

// A client is who asks: what is the same in all requests of one connection,
// whatever version of HTTP it speaks.
type client struct {
	s     *server
	p     *Proxy
	stats *shard
	part  int // of meters
	// bounds are what the client may do.
	bounds *Bounds

	// ends are those of the connection, introduced what a PROXY header said of
	// them.
	ends       ends
	introduced proxyproto.Header
	from       netip.AddrPort // who connected
	peer       netip.Addr     // the same, as it is written
	trusted    bool
	secure     bool // over TLS
	// tlsState is what the handshake has found out, nil without TLS.
	tlsState func() tls.ConnectionState
	// version and cipher are of TLS, 0 while they are not known.
	version, cipher uint16
	// forwarded are the field lines about the client that are the same in
	// all its requests.
	forwarded []byte
	// counted is the source that it counts for, see gate.
	counted netip.Addr
}

// ends are the two ends of a connection.
type ends interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// newClient returns the client at the other end of a connection to s.
func newClient(s *server, e ends) *client {
	c := &client{s: s, p: s.p, bounds: s.p.bounds.Load(), secure: s.entry.TLS != nil, ends: e}
	c.stats, c.part = s.p.counters.pick()
	c.identify(addrPort(e.RemoteAddr()))
	return c
}

// addrPort returns the zero value for what is neither of TCP nor of UDP.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// between is what a PROXY header tells an endpoint of c's connection.
func (c *client) between() proxyproto.Header {
	if c.introduced.Source.IsValid() {
		return c.introduced
	}
	return proxyproto.Header{Source: addrPort(c.ends.RemoteAddr()), Destination: addrPort(c.ends.LocalAddr())}
}

// identify says from which address c asks.
func (c *client) identify(from netip.AddrPort) {
	c.peer = from.Addr().Unmap().WithZone("")
	c.from = netip.AddrPortFrom(c.peer, from.Port())
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

// appendHops appends the addresses that a request came by: the peer, and what
// those say that are trusted, up to the first one that is not.
func (c *client) appendHops(hops []netip.Addr, r *http1.Request, head []byte) []netip.Addr {
	hops = append(hops, c.peer)
	if !c.trusted {
		return hops
	}
	for list := appendChain(nil, r, head); len(list) > 0 && c.s.trusts(hops[len(hops)-1]); {
		list = bytes.TrimRight(list, ", \t")
		start := bytes.LastIndexByte(list, ',') + 1
		a, ok := parseAddr(bytes.TrimSpace(list[start:]))
		if !ok {
			break
		}
		hops, list = append(hops, a), list[:start]
	}
	return hops
}

// schemeOf is the scheme that the client used, as a trusted proxy says where
// there is one.
func (c *client) schemeOf(r *http1.Request, head []byte) string {
	if f := r.Field(http1.XForwardedProto); f != nil && c.trusted {
		switch v := f.Value.Of(head); {
		case http1.Fold(v, "https") || http1.Fold(v, "wss"):
			return "https"
		case http1.Fold(v, "http") || http1.Fold(v, "ws"):
			return "http"
		}
	}
	return c.scheme()
}

// certificates are those that the client has shown.
func (c *client) certificates() [][]byte {
	if c.tlsState == nil {
		return nil
	}
	var out [][]byte
	for _, cert := range c.tlsState().PeerCertificates {
		out = append(out, cert.Raw)
	}
	return out
}

// until is the clock time at which a wait of d that begins now is over; the
// clock may be a grain behind.
func (c *client) until(d time.Duration) int64 {
	return c.p.clock.now() + int64(c.p.grain) + int64(d)
}
