package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waiting and is no claim: machines may be busy.
const patience = 30 * time.Second

// web is the backend that every test routes to.
var web = route.Backend{Namespace: "default", Service: "web", Port: "80"}

// An edge is a running Proxy.
type edge struct {
	*proxy.Proxy
	addr string
	stop func()                  // begins the drain
	end  context.CancelCauseFunc // stop, for a reason
	done chan error
}

// start runs a Proxy in front of endpoints: example.com leads to them.
func start(t testing.TB, o proxy.Options, e proxy.Entrypoint, addrs ...string) *edge {
	t.Helper()
	o.Log = logger(t)
	p := proxy.New(o)
	p.SetRoutes(table(t))
	p.SetEndpoints(endpoints(addrs...))
	return serve(t, p, e)
}

// table leads example.com to web.
func table(t testing.TB) *route.Table {
	t.Helper()
	table, conflicts := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Backend: web}})
	if conflicts != nil {
		t.Fatal(conflicts)
	}
	return table
}

// endpoints are those of web.
func endpoints(addrs ...string) map[route.Backend][]route.Endpoint {
	var eps []route.Endpoint
	for _, a := range addrs {
		eps = append(eps, route.Endpoint{Addr: netip.MustParseAddrPort(a)})
	}
	return map[route.Backend][]route.Endpoint{web: eps}
}

// waits is the policy that waits for an endpoint that long.
func waits(dial, response time.Duration) backend.Policy {
	p := backend.Default()
	p.Timeouts.Dial, p.Timeouts.Response = dial, response
	return p
}

// serve runs p on a port of its own.
func serve(t testing.TB, p *proxy.Proxy, e proxy.Entrypoint) *edge {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	cancel := func() { end(nil) }
	ed := &edge{Proxy: p, addr: l.Addr().String(), stop: cancel, end: end, done: make(chan error, 1)}
	go func() { ed.done <- p.Serve(ctx, l, e) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ed.done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("Serve does not return")
		}
		ed.done <- nil
	})
	return ed
}

// wait waits until Serve has returned.
func (e *edge) wait(t *testing.T) {
	t.Helper()
	err := <-e.done
	e.done <- err
	if err != nil {
		t.Fatal(err)
	}
}

// settle waits until no endpoint of the first backend has anything in flight:
// a client may have its answer a moment before.
func (e *edge) settle(t testing.TB) {
	t.Helper()
	busy := func(s backend.EndpointStatus) bool { return s.InFlight != 0 }
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(e.Status().Backends[0].Endpoints, busy) {
			return
		}
	}
	t.Errorf("still in flight: %+v", e.Status().Backends[0])
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, nil))
}

// logWriter shows the log where a test fails.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// handler runs an endpoint that speaks through net/http.
func handler(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// script runs an endpoint that does with each connection what talk does.
func script(t testing.TB, talk func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				talk(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

// A peer is a client that writes bytes.
type peer struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

func (e *edge) dial(t testing.TB) *peer {
	t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{c, bufio.NewReader(c), t}
}

func (p *peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// say writes s; "\n" stands for itself.
func (p *peer) say(s string) *peer {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("say %q: %v", s, err)
	}
	return p
}

// hear reads one response to a request with a method, and its body.
func (p *peer) hear(method string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.ReadResponse(p.Reader, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("hear: %v", err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatalf("hear body: %v", err)
	}
	return r, string(b)
}

// rest reads until the connection ends.
func (p *peer) rest() string {
	p.t.Helper()
	b, err := io.ReadAll(p.Reader)
	if err != nil {
		p.t.Fatalf("rest after %q: %v", b, err)
	}
	return string(b)
}

// client is net/http's, with connections of its own.
func client(t testing.TB, cfg *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// get is a request for example.com through e.
func (e *edge) get(t testing.TB, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+e.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "example.com"
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

const getRoot = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
