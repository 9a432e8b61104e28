package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/portico-lb/portico/l7/proxyproto"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/socket"
)

// errShared says that one client cannot be named on behalf of several.
var errShared = errors.New("no PROXY header can be sent over HTTP/2, whose connections clients share")

// introduce connects to e for one request, and says first for whom.
func (e *Endpoint) introduce(ctx context.Context, p *Policy, between proxyproto.Header) (*Conn, error) {
	if e.protocol.HTTP2() {
		return nil, errShared
	}
	header := proxyproto.Append1
	if p.SendProxy == 2 {
		header = proxyproto.Append2
	}
	b, err := e.dial(ctx, p.Timeouts, header(nil, between))
	if err == nil {
		b.private = true
	}
	return b, err
}

// dial connects to e, which counts a request in flight already, and sends
// first before anything else.
func (e *Endpoint) dial(ctx context.Context, t Timeouts, first []byte) (*Conn, error) {
	d := net.Dialer{Timeout: t.Dial}
	tcp, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, e.spec.Addr)
	if err != nil {
		return nil, err
	}
	sock, err := socket.New(tcp)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	if len(first) > 0 {
		if _, err := sock.Write(first); err != nil {
			tcp.Close()
			return nil, err
		}
	}
	b := &Conn{Conn: sock, TCP: sock, sock: sock, ep: e, sent: int64(len(first))}
	if e.tls == nil {
		return b, nil
	}
	b.wire = &wire{sock, b.sent}
	secure := tls.Client(b.wire, e.tls)
	b.Conn, b.TCP = secure, nil
	ctx, cancel := context.WithTimeout(ctx, t.Dial)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	if p := secure.ConnectionState().NegotiatedProtocol; e.protocol == route.H2 && p != "h2" {
		tcp.Close()
		return nil, fmt.Errorf("tls: the endpoint does not speak HTTP/2, but %q", p)
	}
	b.sent = b.wire.sent
	return b, nil
}

// A wire counts the bytes that go out under TLS.
type wire struct {
	*socket.Conn
	sent int64
}

// Write writes b and counts it.
func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.sent += int64(n)
	return n, err
}

// clientTLS is how endpoints of b that speak p are spoken to under t; nil
// where it is in clear. Each endpoint has one of its own, for its sessions.
func clientTLS(b route.Backend, p route.Protocol, t TLS) *tls.Config {
	if !p.TLS() {
		return nil
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // the operator's choice
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if p == route.H2 {
		c.NextProtos = []string{"h2"}
	}
	if c.ServerName == "" {
		c.ServerName = b.Service + "." + b.Namespace + ".svc"
	}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) // of none, none is believed
	}
	return c
}
