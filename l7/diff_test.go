package l7_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/route"
)

const external = `
apiVersion: v1
kind: Service
metadata: {name: far, namespace: web}
spec: {type: ExternalName, externalName: far.partner.example, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: far, namespace: web}
spec:
  ingressClassName: portico
  rules:
  - host: far.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: far, port: {number: 80}}}}]}
`

// TestDiffOfNothing: what is applied again changes nothing, whatever else the
// configuration has beside the manifests.
func TestDiffOfNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "far.yaml"), []byte(external), 0o600); err != nil {
		t.Fatal(err)
	}
	own := route.Backend{Namespace: "l7.route", Service: "mill", Port: "endpoint"}
	config := l7.Config{
		Kubernetes: l7.Kubernetes{Manifests: dir, IngressClass: "portico", AllowExternalNames: []string{"*.partner.example"}},
		Routes: []l7.Route{{
			Spec: route.Spec{
				Host: "mill.example", Match: route.Prefix, Path: "/", Backend: own,
				Origin: route.Origin{Kind: "route", Namespace: "l7.route", Name: "mill"},
			},
			Endpoints: []route.Endpoint{{Addr: netip.MustParseAddrPort("192.0.2.80:8080")}},
		}},
	}
	synctest.Test(t, func(t *testing.T) {
		p := l7.New(l7.Options{Log: slog.New(slog.DiscardHandler), Config: config})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, func() {}) }()
		synctest.Wait()
		for _, whole := range []bool{false, true} {
			d, err := p.Diff(l7.Proposal{Files: map[string][]byte{"far.yaml": []byte(external)}, Whole: whole})
			if err != nil || !d.Empty() || d.Routes != 2 {
				t.Errorf("whole %v: got %+v, %v", whole, d, err)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
