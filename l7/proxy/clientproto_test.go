package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/proxyproto"
)

// introduced is an entrypoint that wants a PROXY header from 127.0.0.0/8.
func introduced(trusted ...string) proxy.Entrypoint {
	e := proxy.Entrypoint{ProxyProtocol: true, H2C: true}
	for _, p := range append(trusted, "127.0.0.0/8") {
		e.TrustedProxies = append(e.TrustedProxies, netip.MustParsePrefix(p))
	}
	return e
}

var announced = proxyproto.Header{
	Source:      netip.MustParseAddrPort("198.51.100.7:4711"),
	Destination: netip.MustParseAddrPort("192.0.2.1:80"),
}

// introductions are what may stand before the first request, and the client
// that it names.
func introductions() map[string]string {
	return map[string]string{
		string(proxyproto.Append1(nil, announced)):           "198.51.100.7",
		string(proxyproto.Append2(nil, announced)):           "198.51.100.7",
		"PROXY UNKNOWN\r\n":                                  "127.0.0.1",
		string(proxyproto.Append2(nil, proxyproto.Header{})): "127.0.0.1",
		"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n":     "2001:db8::7",
	}
}

// TestProxyHeader shows who the client is behind a proxy that names it: in
// clear, in pieces, and over HTTP/2.
func TestProxyHeader(t *testing.T) {
	e := start(t, proxy.Options{}, introduced(), heads(t))
	const believed = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
	for header, client := range introductions() {
		want := "X-Forwarded-For: " + client + "\r\nX-Real-Ip: " + client + "\r\n"
		if client == "127.0.0.1" { // a trusted proxy's own word
			want = "X-Forwarded-For: 6.6.6.6, 127.0.0.1\r\nX-Real-Ip: 6.6.6.6\r\n"
		}
		p := e.dial(t)
		for i, m := range []string{header + believed, believed} {
			if _, got := p.say(m).hear("GET"); !strings.Contains(got, want) {
				t.Errorf("%q, request %d: got %q", header, i, got)
			}
		}
		p = e.dial(t)
		for i := range header {
			p.say(header[i : i+1])
		}
		if _, got := p.say(believed).hear("GET"); !strings.Contains(got, want) {
			t.Errorf("%q in pieces: got %q", header, got)
		}
	}

	c := http2Over(t, e.dial(t).say(string(proxyproto.Append2(nil, announced))))
	resp, err := c.Get("http://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, _ := bufio.NewReader(resp.Body).ReadString('\n'); resp.StatusCode != 200 || !strings.HasPrefix(line, "GET / ") {
		t.Errorf("HTTP/2: got %v %q", resp, line)
	}
}

// http2Over is a client of HTTP/2 on one connection.
func http2Over(t testing.TB, c net.Conn) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// TestProxyHeaderChain: the client of a proxy's header may be a trusted proxy
// itself, which tells of its own client.
func TestProxyHeaderChain(t *testing.T) {
	e := start(t, proxy.Options{}, introduced("198.51.100.0/24"), heads(t))
	_, got := e.dial(t).say(string(proxyproto.Append2(nil, announced)) +
		"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n").hear("GET")
	if !strings.Contains(got, "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Real-Ip: 203.0.113.9\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestProxyHeaderTLS: the header stands before the handshake, in a segment of
// its own or with the ClientHello.
func TestProxyHeaderTLS(t *testing.T) {
	server, config := certificate(t)
	entry := introduced()
	entry.TLS, entry.H2C = server, false
	e := start(t, proxy.Options{}, entry, heads(t))
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"apart": func(c net.Conn) net.Conn {
			c.Write(proxyproto.Append2(nil, announced))
			return c
		},
		"with the ClientHello": func(c net.Conn) net.Conn {
			return &preceding{Conn: c, first: proxyproto.Append2(nil, announced)}
		},
	} {
		c := tls.Client(wrap(e.dial(t).Conn), config)
		p := &peer{c, bufio.NewReader(c), t}
		if _, got := p.say(getRoot).hear("GET"); !strings.Contains(got, "X-Real-Ip: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A preceding connection writes something before the first write, with it.
type preceding struct {
	net.Conn
	first []byte
}

func (p *preceding) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(append(p.first, b...))
	n -= len(p.first)
	p.first = nil
	return n, err
}

// TestProxyHeaderRefused: without a right header there is no answer; whoever
// is not trusted is not asked for one.
func TestProxyHeaderRefused(t *testing.T) {
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Head: short}}, introduced(), heads(t))
	faults := []string{
		getRoot,
		"PROXY TCP4 198.51.100.7 192.0.2.1 4711\r\n" + getRoot,
		"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\n" + getRoot,
		"PROXY TCP4 ", // and nothing more
		"\x16\x03\x01",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
	for _, f := range faults {
		p := e.dial(t).say(f)
		if b, err := p.ReadByte(); err == nil {
			t.Errorf("%q: got %q", f, b)
		}
	}
	if got := e.Status(); got.Refused.ProxyHeader != uint64(len(faults)) || got.Requests != 0 {
		t.Errorf("got %+v", got)
	}
	// A look whether the port is open is no fault.
	for range 3 {
		p := e.dial(t)
		p.Conn.(*net.TCPConn).CloseWrite()
		p.ReadByte()
	}
	if got := e.Status(); got.Refused.ProxyHeader != uint64(len(faults)) {
		t.Errorf("connections that said nothing: %+v", got)
	}

	stranger := introduced()
	stranger.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	e = start(t, proxy.Options{}, stranger, heads(t))
	if r, _ := e.dial(t).say(getRoot).hear("GET"); r.StatusCode != 200 {
		t.Errorf("a client: got %v", r)
	}
	if got := e.dial(t).say(string(proxyproto.Append1(nil, announced)) + getRoot).rest(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("a client with a header: got %q", got)
	}
	if got := e.dial(t).say(string(proxyproto.Append2(nil, announced)) + getRoot).rest(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("a client with a binary header: got %q", got)
	}
}
