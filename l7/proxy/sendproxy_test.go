package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/proxyproto"
	"github.com/portico-lb/portico/l7/route"
)

// told is an endpoint whose connections must begin with a PROXY header,
// and that answers each request with what the header said.
func told(t *testing.T) (addr string, connections *atomic.Int32) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go answerTold(c)
		}
	}()
	return l.Addr().String(), connections
}

func answerTold(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var h proxyproto.Header
	for have := 1; ; have++ {
		b, err := r.Peek(have)
		if err != nil {
			return
		}
		var n int
		if h, n, err = proxyproto.Parse(b); err != nil {
			fmt.Fprintf(c, "HTTP/1.1 500 no header\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if n > 0 {
			r.Discard(n)
			break
		}
	}
	for {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		text := h.Source.String() + " " + h.Destination.String()
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

// TestSendProxy shows that endpoints are told whose request it is, by a
// connection for each, and what a proxy in front of this one said.
func TestSendProxy(t *testing.T) {
	for version := 1; version <= 2; version++ {
		addr, connections := told(t)
		e := start(t, with(func(p *backend.Policy) { p.SendProxy = version }), proxy.Entrypoint{}, addr)
		for range 2 {
			c, err := net.Dial("tcp", e.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want := c.LocalAddr().String() + " " + e.addr
			r := bufio.NewReader(c)
			for range 2 {
				if got := ask(t, c, r); got != want {
					t.Errorf("version %d: the endpoint is told %q, want %q", version, got, want)
				}
			}
		}
		if got := connections.Load(); got != 4 {
			t.Errorf("version %d: 4 requests went over %d connections, want one each", version, got)
		}
	}
}

// TestSendProxyPassesOn shows that what a trusted proxy said goes on.
func TestSendProxyPassesOn(t *testing.T) {
	addr, _ := told(t)
	e := start(t, with(func(p *backend.Policy) { p.SendProxy = 2 }), proxy.Entrypoint{ProxyProtocol: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, addr)
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n")
	if got, want := ask(t, c, bufio.NewReader(c)), "192.0.2.1:40000 198.51.100.1:80"; got != want {
		t.Errorf("the endpoint is told %q, want %q", got, want)
	}
}

// TestSendProxyNeedsHTTP1 shows that no endpoint of HTTP/2 is told nothing in
// silence.
func TestSendProxyNeedsHTTP1(t *testing.T) {
	addr, connections := told(t)
	e := start(t, with(func(p *backend.Policy) { p.SendProxy, p.Protocol = 1, route.H2C }), proxy.Entrypoint{}, addr)
	r, err := http.NewRequest("GET", "http://"+e.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "example.com"
	resp, err := client(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || connections.Load() != 0 {
		t.Errorf("status %d over %d connections, want 502 without any", resp.StatusCode, connections.Load())
	}
}

// ask makes a request over c and returns the answer's body.
func ask(t *testing.T, c net.Conn, r *bufio.Reader) string {
	t.Helper()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
