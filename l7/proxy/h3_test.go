package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/portico-lb/portico/l7/proxy"
)

// visitHTTP3 is visit for a client that speaks HTTP/3.
func (w way) visitHTTP3(t *testing.T, o proxy.Options, addrs ...string) *visitor {
	t.Helper()
	server, config := certificate(t)
	o.Log = logger(t)
	p := proxy.New(o)
	p.SetRoutes(table(t))
	p.SetEndpoints(w.endpoints(addrs...))
	e := serveHTTP3(t, p, "127.0.0.1:0", server)
	v := &visitor{edge: e, Client: http3Client(t, config), base: "https://" + e.addr, t: t}
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// serveHTTP3 runs p at an address until the test ends.
func serveHTTP3(t *testing.T, p *proxy.Proxy, addr string, server *tls.Config) *edge {
	t.Helper()
	lc := net.ListenConfig{Control: proxy.ControlHTTP3}
	pc, err := lc.ListenPacket(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	stop := func() { end(nil) }
	e := &edge{Proxy: p, addr: pc.LocalAddr().String(), stop: stop, end: end, done: make(chan error, 1)}
	go func() { e.done <- p.ServeHTTP3(ctx, pc, proxy.Entrypoint{TLS: server}) }()
	t.Cleanup(func() {
		stop()
		e.wait(t)
	})
	return e
}

func http3Client(t *testing.T, config *tls.Config) *http.Client {
	config = config.Clone()
	config.NextProtos = nil
	tr := &http3.Transport{TLSClientConfig: config, DisableCompression: true}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// TestHTTP3Succession replaces the socket of an entrypoint twice: no
// request fails, and those in flight finish where they began.
func TestHTTP3Succession(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	ep := handler(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			begun <- true
			<-release
		}
		io.WriteString(rw, "done")
	})
	server, config := certificate(t)
	generation := func(addr string) *edge {
		p := proxy.New(proxy.Options{Log: logger(t), Drain: 10 * time.Second})
		p.SetRoutes(table(t))
		p.SetEndpoints(endpoints(ep))
		return serveHTTP3(t, p, addr, server)
	}
	old := generation("127.0.0.1:0")
	ask := func(c *http.Client, path string) error {
		r, err := http.NewRequest("GET", "https://"+old.addr+path, nil)
		if err != nil {
			return err
		}
		r.Host = "example.com"
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "done" {
			return fmt.Errorf("got %q, %w", b, err)
		}
		return nil
	}
	for i := range 2 {
		slow := http3Client(t, config)
		answer := make(chan error, 1)
		go func() { answer <- ask(slow, "/wait") }()
		<-begun
		next := generation(old.addr)
		if err := ask(slow, "/"); err != nil { // on the old connection
			t.Errorf("%d: beside the one in flight: %v", i, err)
		}
		old.stop()
		for j := range 5 {
			if err := ask(http3Client(t, config), "/"); err != nil {
				t.Errorf("%d.%d: while the old one ends: %v", i, j, err)
			}
		}
		if n := next.Status().Requests; n != 5 {
			t.Errorf("%d: the new one got %d requests", i, n)
		}
		release <- true
		if err := <-answer; err != nil {
			t.Errorf("%d: in flight: %v", i, err)
		}
		old.wait(t)
		old = next
	}
}

// TestAltSvc shows how clients learn of HTTP/3: at the port that they know.
func TestAltSvc(t *testing.T) {
	for _, front := range []string{"HTTP/1.1 TLS", "HTTP/2 TLS"} {
		v := way{front: front, back: "HTTP/1.1"}.visit(t, proxy.Options{}, heads(t))
		for _, http3 := range []bool{false, true} {
			entry := v.entry
			entry.HTTP3 = http3
			e := serve(t, v.Proxy, entry)
			for host, want := range map[string]string{"example.com": `h3=":443"; ma=86400`, "example.com:8443": `h3=":8443"; ma=86400`} {
				if !http3 {
					want = ""
				}
				r := v.request("GET", "/", nil)
				r.URL.Host, r.Host = e.addr, host
				if resp, _ := v.do(r); resp.StatusCode != 200 || resp.Header.Get("Alt-Svc") != want {
					t.Errorf("%s at %s: got %v", front, host, resp)
				}
			}
		}
	}
}
