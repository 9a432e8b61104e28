package proxy_test

import (
	"context"
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
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &edge{Proxy: p, addr: pc.LocalAddr().String(), stop: stop, done: make(chan error, 1)}
	go func() { e.done <- p.ServeHTTP3(ctx, pc, proxy.Entrypoint{TLS: server}) }()
	config.NextProtos = nil
	tr := &http3.Transport{TLSClientConfig: config, DisableCompression: true}
	t.Cleanup(func() {
		tr.Close()
		stop()
		e.wait(t)
	})
	v := &visitor{edge: e, Client: &http.Client{Transport: tr, Timeout: 20 * time.Second}, base: "https://" + e.addr, t: t}
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
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
