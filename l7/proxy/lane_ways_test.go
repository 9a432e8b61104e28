package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// A way is a kind of client and a kind of endpoint.
type way struct {
	front, back string
}

// The kinds of clients and endpoints.
var (
	fronts = []string{"HTTP/1.1", "HTTP/1.1 TLS", "HTTP/2", "HTTP/2 TLS", "HTTP/3"}
	backs  = []string{"HTTP/1.1", "HTTP/1.1 TLS", "HTTP/2", "HTTP/2 TLS"}
)

// everyWay runs test for every kind of client with every kind of endpoint.
func everyWay(t *testing.T, test func(*testing.T, way)) {
	for _, front := range fronts {
		for _, back := range backs {
			t.Run(front+" to "+back, func(t *testing.T) { test(t, way{front, back}) })
		}
	}
}

// A visitor is a client with the edge that it visits.
type visitor struct {
	*edge
	*http.Client
	base  string
	entry proxy.Entrypoint
	t     *testing.T
}

// visit runs an edge in front of endpoints, and returns a client of w's kind.
func (w way) visit(t *testing.T, o proxy.Options, addrs ...string) *visitor {
	t.Helper()
	if o.Policy == (backend.Policy{}) {
		o.Policy = backend.Default()
	}
	o.Policy.TLS.Insecure = true // what the endpoints show is not the subject
	var entry proxy.Entrypoint
	server, config := certificate(t)
	tr := &http.Transport{TLSClientConfig: config, DisableCompression: true, Protocols: new(http.Protocols)}
	v := &visitor{Client: &http.Client{Transport: tr, Timeout: 2 * patience}, base: "http://", t: t}
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch w.front {
	case "HTTP/1.1":
		tr.Protocols.SetHTTP1(true)
	case "HTTP/1.1 TLS":
		entry.TLS, v.base = server, "https://"
		tr.Protocols.SetHTTP1(true)
	case "HTTP/2":
		entry.H2C = true
		tr.Protocols.SetUnencryptedHTTP2(true)
	case "HTTP/2 TLS":
		server = server.Clone()
		server.NextProtos = []string{"h2", "http/1.1"}
		entry.TLS, v.base = server, "https://"
		tr.Protocols.SetHTTP2(true)
	}
	if w.front == "HTTP/3" {
		return w.visitHTTP3(t, o, addrs...)
	}
	v.edge, v.entry = start(t, o, entry), entry
	v.SetEndpoints(w.endpoints(addrs...))
	t.Cleanup(tr.CloseIdleConnections)
	v.base += v.addr
	return v
}

// request is one for example.com.
func (v *visitor) request(method, path string, body io.Reader) *http.Request {
	v.t.Helper()
	r, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Host = "example.com"
	return r
}

// do returns the response to r with its body.
func (v *visitor) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.Client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("%v after %d bytes", err, len(b))
	}
	return resp, string(b)
}

// endpoints are those of web, of w's kind.
func (w way) endpoints(addrs ...string) map[route.Backend][]route.Endpoint {
	m := endpoints(addrs...)
	for i := range m[web] {
		m[web][i].Protocol = map[string]route.Protocol{
			"HTTP/1.1": route.HTTP, "HTTP/1.1 TLS": route.HTTPS, "HTTP/2": route.H2C, "HTTP/2 TLS": route.H2,
		}[w.back]
	}
	return m
}

// endpoint runs an endpoint of w's kind.
func (w way) endpoint(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(strings.HasPrefix(w.back, "HTTP/1.1"))
	s.Config.Protocols.SetUnencryptedHTTP2(w.back == "HTTP/2")
	s.Config.Protocols.SetHTTP2(w.back == "HTTP/2 TLS")
	if strings.HasSuffix(w.back, "TLS") {
		s.EnableHTTP2 = w.back == "HTTP/2 TLS"
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// hideLength keeps net/http from knowing how long a body is.
func hideLength(r io.Reader) io.Reader { return io.MultiReader(r) }
