package kube

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

// manyManifests is a folder's one file with n Ingresses, each with a Service
// and an EndpointSlice of its own.
func manyManifests(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `
---
apiVersion: v1
kind: Service
metadata: { name: bench%[1]d, namespace: default }
spec: { ports: [ { port: 80 } ] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: bench%[1]d-1, namespace: default, labels: { kubernetes.io/service-name: bench%[1]d } }
addressType: IPv4
endpoints: [ { addresses: [ 10.0.%[2]d.%[3]d ] } ]
ports: [ { port: 8080 } ]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: h%05[1]d.example, namespace: default }
spec:
  ingressClassName: portico
  rules:
  - host: h%05[1]d.example
    http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: bench%[1]d, port: { number: 80 } } } } ] }
`, i, i/250, i%250+1)
	}
	return []byte(b.String())
}

// BenchmarkStart is what a folder of 10,000 Ingresses costs until there are
// routes and endpoints.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), manyManifests(10000), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := NewFolder(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		f.poll(false)
		table, _ := route.NewTable(Routes(f.Objects(), Options{IngressClass: "portico"}).Specs)
		if found, _ := Endpoints(f.Objects(), table.Backends()); len(found) != 10000 {
			b.Fatal(len(found), f.Status().Problems)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := manyManifests(10000)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if p := parseFile("all.yaml", data); len(p.manifests) != 30000 {
			b.Fatal(len(p.manifests))
		}
	}
}
