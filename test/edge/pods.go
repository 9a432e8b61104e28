package edge

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

const (
	podNetwork = "10.244.0.0/16"
	podPort    = 8080
)

// DefaultIngress routes everything of Host to the Service web.
const DefaultIngress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: default}
spec:
  ingressClassName: portico
  rules:
  - host: ` + Host + `
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
`

// A Pod is an HTTP server at an address of the Pod network. It answers every
// path with its name and the asking edge node's, in the headers X-Pod and
// X-Edge and in the body. The parameter "after", a duration, delays the answer.
type Pod struct {
	Name, Addr string
	edge       *Edge
	server     *http.Server
}

// StartPod starts a Pod. No node knows of it before Publish.
func (e *Edge) StartPod(name string) *Pod {
	e.t.Helper()
	i := len(e.pods) // also of Pods that have ended
	p := &Pod{Name: name, Addr: fmt.Sprintf("10.244.%d.%d", 1+i/250, 1+i%250), edge: e}
	e.Worker.AddAddr("lo", p.Addr+"/32")
	p.server = e.Worker.Serve(fmt.Sprintf("%s:%d", p.Addr, podPort), p)
	e.pods[name] = p
	return p
}

// Pod is the Pod of that name.
func (e *Edge) Pod(name string) *Pod { return e.pods[name] }

// Stop ends the Pod as Kubernetes does: it accepts no more connections, closes
// idle ones, and answers what was asked before.
func (p *Pod) Stop() {
	p.edge.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	p.edge.check(p.server.Shutdown(ctx))
}

// ServeHTTP answers a request.
func (p *Pod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if after, err := time.ParseDuration(r.FormValue("after")); err == nil {
		p.edge.delayed.Add(1)
		defer p.edge.delayed.Add(-1)
		select {
		case <-time.After(after):
		case <-r.Context().Done():
			return
		}
	}
	edge := p.edge.nodeAt(r.RemoteAddr)
	w.Header().Set("X-Pod", p.Name)
	w.Header().Set("X-Edge", edge)
	fmt.Fprintf(w, "%s through %s for %s, %s\n", p.Name, edge, r.Header.Get("X-Forwarded-For"), r.URL.Path)
}

// WaitRequests waits until the Pods have n requests whose answers are delayed.
func (e *Edge) WaitRequests(n int, within time.Duration) {
	e.t.Helper()
	lab.Eventually(e.t, within, fmt.Sprintf("%d requests at the Pods", n), func() error {
		if got := int(e.delayed.Load()); got != n {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

// nodeAt names the edge node with the address of a TCP peer.
func (e *Edge) nodeAt(peer string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return peer
	}
	for _, n := range e.Nodes {
		if n.Addr == host || n.Addr6 == host {
			return n.Name()
		}
	}
	return host
}

// Publish writes the Service and its EndpointSlice, with the Pods as its only
// ready endpoints, into the folder of manifests.
func (e *Edge) Publish(service string, pods ...*Pod) {
	e.t.Helper()
	e.WriteManifest("service-"+service+".yaml", ServiceManifest(service, pods...))
}

// ServiceManifest is a Service with port 80 and its EndpointSlice.
func ServiceManifest(service string, pods ...*Pod) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec:
  ports: [{name: http, port: 80, targetPort: %[2]d}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: %[1]s-1
  namespace: default
  labels: {kubernetes.io/service-name: %[1]s}
addressType: IPv4
ports: [{name: http, port: %[2]d, protocol: TCP}]
`, service, podPort)
	if len(pods) == 0 {
		b.WriteString("endpoints: []\n")
		return b.String()
	}
	b.WriteString("endpoints:\n")
	for _, p := range pods {
		fmt.Fprintf(&b, "- {addresses: [%s], conditions: {ready: true}}\n", p.Addr)
	}
	return b.String()
}

// WriteManifest puts a file into the folder of manifests, or replaces it, in
// one step.
func (e *Edge) WriteManifest(name, text string) {
	e.t.Helper()
	path := filepath.Join(e.Folder, name)
	e.check(os.WriteFile(path+".new", []byte(text), 0o644))
	e.check(os.Rename(path+".new", path))
}
