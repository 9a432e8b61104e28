package backend

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// serveTLS runs an endpoint over TLS and returns its address and its
// certificate, which is for example.com.
func serveTLS(t *testing.T, h http.HandlerFunc) (netip.AddrPort, string) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return netip.MustParseAddrPort(s.Listener.Addr().String()), string(cert)
}

// poolAt returns a pool with one endpoint, and the clock that it reads.
func poolAt(t *testing.T, policy Policy, eps ...netip.AddrPort) (*Pool, *manual) {
	t.Helper()
	p, clock := newPool(t, policy, 0)
	var specs []route.Endpoint
	for _, a := range eps {
		specs = append(specs, route.Endpoint{Addr: a})
	}
	p.Set(specs)
	t.Cleanup(func() { p.Set(nil) })
	return p, clock
}

// get carries a request over b as the engine's fast lane would.
func get(t *testing.T, b *Conn) string {
	t.Helper()
	n, err := io.WriteString(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	b.Sent(int64(n))
	r, err := http.ReadResponse(bufio.NewReader(b), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTLS(t *testing.T) {
	addr, ca := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) })
	for _, tc := range []struct {
		name string
		tls  TLS
		want string // what the endpoint is asked for, "" where it is not believed
	}{
		{"its authority", TLS{CA: ca, ServerName: "example.com"}, "example.com"},
		{"another name", TLS{CA: ca}, ""},
		{"the system's authorities", TLS{ServerName: "example.com"}, ""},
		{"a file without a certificate", TLS{CA: "none", ServerName: "example.com"}, ""},
		{"anybody", TLS{Insecure: true}, "b.a.svc"},
	} {
		policy := Default()
		policy.Protocol, policy.TLS = route.HTTPS, tc.tls
		p, _ := poolAt(t, policy, addr)
		var c Call
		b, refusal := p.Connect(context.Background(), &c)
		if tc.want == "" {
			if refusal != Unreachable {
				t.Errorf("%s: refusal %d", tc.name, refusal)
			}
			continue
		}
		if refusal != 0 {
			t.Errorf("%s: %v", tc.name, refusal)
			continue
		}
		if b.TCP != nil {
			t.Errorf("%s: TLS is spliced", tc.name)
		}
		for range 3 {
			if got := get(t, b); got != tc.want {
				t.Errorf("%s: asked for %q", tc.name, got)
			}
			b.Release(true)
			c.Reset()
			if again, _ := p.Connect(context.Background(), &c); again != b {
				t.Errorf("%s: not reused", tc.name)
			}
		}
		b.Release(false)
	}
}

// TestTLSDelivered shows that the bytes of TLS's own do not disturb the
// question whether a request was delivered.
func TestTLSDelivered(t *testing.T) {
	closed := make(chan struct{})
	addr, ca := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/die" {
			panic(http.ErrAbortHandler)
		}
		nc, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		nc.Close()
		close(closed)
	})
	policy := Default()
	policy.Protocol, policy.TLS = route.HTTPS, TLS{CA: ca, ServerName: "example.com"}
	p, _ := poolAt(t, policy, addr)
	for _, seen := range []bool{true, false} {
		b, _ := p.Connect(context.Background(), &Call{})
		b.SetDeadline(time.Now().Add(5 * time.Second))
		if seen {
			n, _ := io.WriteString(b, "GET /die HTTP/1.1\r\nHost: a\r\n\r\n")
			b.Sent(int64(n))
		} else {
			get(t, b)
			<-closed
			b.Release(true)
			b.ep.enter(0)
			b.ep.take(time.Hour, 0)
			n, _ := io.WriteString(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			b.Sent(int64(n))
		}
		_, err := b.Read(make([]byte, 1))
		if got := b.Delivered(err); got != seen {
			t.Errorf("after %v: delivered %v, want %v", err, got, seen)
		}
		b.Release(false)
	}
}

// serveH2C runs an endpoint that speaks HTTP/2 in clear.
func serveH2C(t *testing.T, s *http.Server) (netip.AddrPort, *http.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() { s.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String()), s
}

// ask carries a request over b as the engine's general lane would.
func ask(b *Conn, path string) (string, error) {
	r, err := http.NewRequest("GET", "http://a"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := b.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func h2c(t *testing.T, addr netip.AddrPort) *Pool {
	policy := Default()
	policy.Protocol = route.H2C
	p, _ := poolAt(t, policy, addr)
	return p
}

func TestHTTP2(t *testing.T) {
	addr, _ := serveH2C(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
	})})
	p := h2c(t, addr)
	first := ""
	for i := range 5 {
		b, refusal := p.Connect(context.Background(), &Call{})
		if refusal != 0 || !b.HTTP2() || b.Reused() != (i > 0) {
			t.Fatal(refusal)
		}
		got, err := ask(b, "/")
		if err != nil || i > 0 && got != first {
			t.Errorf("over %q, the first over %q: %v", got, first, err)
		}
		first = got
		b.Release(true)
	}
	if s := p.Status().Endpoints[0]; s.InFlight != 0 || s.Requests != 5 {
		t.Errorf("%+v", s)
	}
}

// TestHTTP2Streams shows that no connection carries more streams at once than
// the endpoint wants, and that nobody dials while a connection is being made
// that has room.
func TestHTTP2Streams(t *testing.T) {
	addr, _ := serveH2C(t, &http.Server{HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 3}})
	p := h2c(t, addr)
	conns := make(chan *Conn, 7)
	for range cap(conns) {
		go func() {
			b, _ := p.Connect(context.Background(), &Call{})
			conns <- b
		}()
	}
	streams := map[*h2conn]int{}
	for range cap(conns) {
		b := <-conns
		streams[b.stream.h2conn]++
		defer b.Release(true)
	}
	if len(streams) != 3 {
		t.Errorf("%d connections for 7 streams of 3", len(streams))
	}
	for _, n := range streams {
		if n > 3 {
			t.Errorf("%d streams", n)
		}
	}
}

// TestHTTP2Farewell shows that an endpoint's GOAWAY costs no request: what it
// did not see is known not to be delivered, and the next stream goes elsewhere.
func TestHTTP2Farewell(t *testing.T) {
	addr, s := serveH2C(t, &http.Server{Handler: http.NotFoundHandler()})
	p := h2c(t, addr)
	b, _ := p.Connect(context.Background(), &Call{})
	if _, err := ask(b, "/"); err != nil {
		t.Fatal(err)
	}
	late, _ := p.Connect(context.Background(), &Call{})
	s.Shutdown(context.Background())
	for late.stream.cc.CanTakeNewRequest() {
	}
	if _, err := ask(late, "/"); err == nil || late.Delivered(err) {
		t.Errorf("%v: delivered", err)
	}
	b.Release(true)
	late.Release(false)
	if _, refusal := p.Connect(context.Background(), &Call{}); refusal != Unreachable {
		t.Errorf("a connection after the farewell, %d", refusal)
	}
}

func TestHTTP2Interrupt(t *testing.T) {
	begun := make(chan struct{})
	addr, _ := serveH2C(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})})
	p := h2c(t, addr)
	b, _ := p.Connect(context.Background(), &Call{})
	go func() {
		<-begun
		b.Interrupt()
	}()
	if _, err := ask(b, "/"); err == nil || !b.Delivered(err) {
		t.Errorf("%v: not delivered", err)
	}
	b.Release(false)
}

// TestHTTP2Removal shows that the last stream of an endpoint that left takes
// the connection along, and none before.
func TestHTTP2Removal(t *testing.T) {
	ended := make(chan struct{})
	addr, _ := serveH2C(t, &http.Server{
		Handler: http.NotFoundHandler(),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(ended)
			}
		},
	})
	p := h2c(t, addr)
	b, _ := p.Connect(context.Background(), &Call{})
	p.Set(nil)
	if _, err := ask(b, "/"); err != nil {
		t.Error(err)
	}
	b.Release(true)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the connection stays")
	}
}

// TestHTTP2Unspoken shows what is said of an endpoint that speaks HTTP/1.1
// alone.
func TestHTTP2Unspoken(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	p := h2c(t, netip.MustParseAddrPort(s.Listener.Addr().String()))
	e := p.plan.Load().endpoints[0]
	if _, err := e.stream(context.Background(), p.Policy().Timeouts); err == nil || !strings.Contains(err.Error(), "does not speak it") {
		t.Error(err)
	}
	secure, _ := serveTLS(t, http.NotFound)
	policy := Default()
	policy.Protocol, policy.TLS.Insecure = route.H2, true
	p, _ = poolAt(t, policy, secure)
	e = p.plan.Load().endpoints[0]
	if _, err := e.stream(context.Background(), p.Policy().Timeouts); err == nil || !strings.Contains(err.Error(), "tls") {
		t.Error(err)
	}
}

// TestProtocolChange shows that an endpoint that is to be spoken to in another
// way gets new connections, and that only that gives it new ones.
func TestProtocolChange(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	p, _ := poolAt(t, Default(), netip.MustParseAddrPort(s.Listener.Addr().String()))
	b, _ := p.Connect(context.Background(), &Call{})
	b.Release(true)
	e := b.ep
	policy := Default()
	policy.Timeouts.Idle++
	p.SetPolicy(new(policy))
	if p.plan.Load().endpoints[0] != e || len(e.idle) != 1 {
		t.Error("another timeout made another endpoint")
	}
	policy.Protocol = route.HTTPS
	p.SetPolicy(new(policy))
	if p.plan.Load().endpoints[0] == e || len(e.idle) != 0 {
		t.Error("connections in clear are kept for TLS")
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error("the idle connection is open")
	}
}

// TestHTTP2TLS shows a request to an endpoint of HTTP/2 over TLS.
func TestHTTP2TLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.TLS.ServerName)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	policy := Default()
	policy.Protocol, policy.TLS.Insecure = route.H2, true
	p, _ := poolAt(t, policy, netip.MustParseAddrPort(s.Listener.Addr().String()))
	for range 2 {
		b, refusal := p.Connect(context.Background(), &Call{})
		if refusal != 0 {
			t.Fatal(refusal)
		}
		if got, err := ask(b, "/"); got != "HTTP/2.0 b.a.svc" {
			t.Errorf("got %q, %v", got, err)
		}
		b.Release(true)
	}
}
