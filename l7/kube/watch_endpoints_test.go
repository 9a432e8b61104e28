package kube_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/cluster"
)

const legacy = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets: [%s]
`

const (
	one = "{addresses: [{ip: 10.244.0.5}], ports: [{name: http, port: 8080}]}"
	two = "{addresses: [{ip: 10.244.0.6}, {ip: 10.244.0.7}], notReadyAddresses: [{ip: 10.244.0.8}], ports: [{name: http, port: 8081}]}"
)

// TestWatcherWithoutEndpointSlices: where the API server has none, Endpoints
// stand in, until it has.
func TestWatcherWithoutEndpointSlices(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	apply(t, c, rbac(t))
	apply(t, c, fmt.Sprintf(legacy, one+", "+two))
	o := withToken(t, c)
	server, old := oldServer(t, o)
	old.Store(true)
	o.Endpoints, o.CAFile = []string{server.URL}, filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(o.CAFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	w := runReady(t, o)
	has := func(want ...string) func(*kube.Objects) bool {
		return func(o *kube.Objects) bool {
			var got []string
			for _, s := range o.Slices {
				if s.Namespace != "shop" {
					continue
				}
				for _, e := range s.Endpoints {
					got = append(got, fmt.Sprintf("%s:%d", e.Addresses[0], *s.Ports[0].Port))
				}
			}
			slices.Sort(got)
			return slices.Equal(got, want)
		}
	}
	await(t, w, "all subsets", has("10.244.0.5:8080", "10.244.0.6:8081", "10.244.0.7:8081"))
	awaitStatus(t, w, "the reason", func(s kube.SourceStatus) bool {
		return s.Err == "" && slices.ContainsFunc(s.Problems, func(p kube.Problem) bool {
			return p.Object == "endpointslices" && strings.Contains(p.Text, "it is Kubernetes v1.") && strings.Contains(p.Text, "Endpoints stand in")
		})
	})
	apply(t, c, fmt.Sprintf(legacy, one))
	await(t, w, "one subset less", has("10.244.0.5:8080"))
	apply(t, c, fmt.Sprintf(legacy, two))
	await(t, w, "another subset", has("10.244.0.6:8081", "10.244.0.7:8081"))

	old.Store(false)
	server.CloseClientConnections()
	apply(t, c, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.244.0.9]}]
`)
	await(t, w, "slices after all", has("10.244.0.9:8080"))
	awaitStatus(t, w, "no problem", func(s kube.SourceStatus) bool { return s.Err == "" && len(s.Problems) == 0 })
}

// oldServer stands before an API server, and knows no EndpointSlices while old.
func oldServer(t *testing.T, o kube.WatchOptions) (server *httptest.Server, old *atomic.Bool) {
	t.Helper()
	to, err := url.Parse(o.Endpoints[1]) // the first is away
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(o.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	old = new(atomic.Bool)
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if old.Load() && strings.HasPrefix(r.URL.Path, "/apis/discovery.k8s.io/") {
			http.NotFound(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server, old
}
