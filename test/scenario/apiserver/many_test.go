package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// Of a cluster of this size, changes are measured.
const (
	manyIngresses = 10_000
	manyServices  = 1_000
	rounds        = 100
)

// TestTenThousand measures an edge of ten thousand Ingresses: how long a start
// takes, a change until the client sees it, an outage from the disk.
func TestTenThousand(t *testing.T) {
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	e := edge.New(t, lab.New(t), edge.Options{Nodes: 1, Parts: "vip"})
	c := cluster.Start(t, cluster.Options{Addr: netip.MustParseAddr("172.20.0.10"), Do: on(e.Worker)})
	apply(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: portico}}")
	fill(t, c, e)
	e.Reconfigure(func(o *edge.Options) {
		o.Kubernetes = fmt.Sprintf("kubeconfig = %q\npublish = [\"172.20.0.119\"]\n", c.Kubeconfig())
	})
	client := newAsker(e)

	since := time.Now()
	e.Nodes[0].Proxy.Start()
	client.await(t, "web.example", "web-1")
	client.await(t, host(manyIngresses-1), "web-1")
	t.Logf("figure: %d Ingresses: started and served after %v", manyIngresses, ms(since))
	lab.Eventually(t, 3*time.Minute, "all published", func() error {
		s := e.Nodes[0].Status()
		if s.Proxy == nil || s.Proxy.L7.Writer == nil || s.Proxy.L7.Writer.Published < manyIngresses {
			return fmt.Errorf("%+v", s.Proxy)
		}
		return nil
	})
	t.Logf("figure: all have their address after %v", ms(since))
	t.Logf("figure: an endpoint for another: %v", client.swaps(t, c, e))
	t.Logf("figure: an endpoint less: %v", client.removals(t, c, e))
	spent := e.Nodes[0].Proxy.CPU()
	took := client.joins(t, c)
	t.Logf("figure: an Ingress more: %v; the proxy takes %v of CPU time for it and the requests meanwhile", took,
		((e.Nodes[0].Proxy.CPU() - spent) / rounds).Round(100*time.Microsecond))

	// The snapshot is at most half a minute behind.
	lab.Eventually(t, patience, "a snapshot", func() error {
		info, err := os.Stat(e.Nodes[0].Dir() + "/l7/kubernetes.snapshot")
		if err != nil || time.Since(info.ModTime()) > 30*time.Second {
			return fmt.Errorf("%v, %v", info, err)
		}
		return nil
	})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := e.Nodes[0].Proxy.Stop(); err != nil {
		t.Fatal(err)
	}
	since = time.Now()
	e.Nodes[0].Proxy.Start()
	client.await(t, host(manyIngresses-1), "web-1")
	t.Logf("figure: without the API server, started and served after %v", ms(since))
	lab.Eventually(t, patience, "the status tells", func() error {
		s := e.Nodes[0].Status()
		if s.Proxy == nil || s.Proxy.L7.Source == nil || s.Proxy.L7.Source.Restored.IsZero() || !s.Proxy.L7.Ready {
			return fmt.Errorf("%+v", s.Proxy)
		}
		return nil
	})
	since = time.Now()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := ms(since)
	put(t, c, "web", e.Pod("web-2"))
	client.await(t, "web.example", "web-2")
	t.Logf("figure: the API server is ready after %v, its news are served %v later", back, ms(since)-back)
}

func host(i int) string { return fmt.Sprintf("h%05d.example", i) }

// ingress routes all of a host to a Service.
func ingress(name, host, service string) *netv1.Ingress {
	class, prefix := "portico", netv1.PathTypePrefix
	return &netv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: netv1.IngressSpec{
			IngressClassName: &class,
			Rules: []netv1.IngressRule{{Host: host, IngressRuleValue: netv1.IngressRuleValue{HTTP: &netv1.HTTPIngressRuleValue{
				Paths: []netv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: netv1.IngressBackend{
					Service: &netv1.IngressServiceBackend{Name: service, Port: netv1.ServiceBackendPort{Name: "http"}},
				}}},
			}}}},
		},
	}
}

// slice is the only EndpointSlice of a Service.
func slice(service string, pods ...*edge.Pod) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service + "-1", Namespace: "default",
			Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for _, p := range pods {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{p.Addr}})
	}
	return s
}

// put replaces the endpoints of a Service.
func put(t *testing.T, c *cluster.Cluster, service string, pods ...*edge.Pod) {
	t.Helper()
	if _, err := c.Client().DiscoveryV1().EndpointSlices("default").Update(t.Context(), slice(service, pods...), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// fill makes the cluster large.
func fill(t *testing.T, c *cluster.Cluster, e *edge.Edge) {
	t.Helper()
	since := time.Now()
	api, pod := c.Client(), e.Pod("web-1")
	service := func(ctx context.Context, name string) error {
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
			Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		}
		if _, err := api.CoreV1().Services("default").Create(ctx, s, metav1.CreateOptions{}); err != nil {
			return err
		}
		_, err := api.DiscoveryV1().EndpointSlices("default").Create(ctx, slice(name, pod), metav1.CreateOptions{})
		return err
	}
	route := func(ctx context.Context, name, host, service string) error {
		_, err := api.NetworkingV1().Ingresses("default").Create(ctx, ingress(name, host, service), metav1.CreateOptions{})
		return err
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(32)
	group.Go(func() error { return service(ctx, "web") })
	group.Go(func() error { return route(ctx, "web", "web.example", "web") })
	for i := range manyServices {
		group.Go(func() error { return service(ctx, fmt.Sprintf("s%04d", i)) })
	}
	for i := range manyIngresses - 1 {
		group.Go(func() error {
			return route(ctx, fmt.Sprintf("i%05d", i+1), host(i+1), fmt.Sprintf("s%04d", i%manyServices))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("made %d Ingresses and %d Services in %v", manyIngresses, manyServices, ms(since))
}

// An asker is a client with one connection to the proxy.
type asker struct {
	url  string
	http http.Client
}

func newAsker(e *edge.Edge) *asker {
	return &asker{"http://" + e.Nodes[0].Addr + "/", http.Client{
		Transport: &http.Transport{DialContext: e.Client.DialContext}, Timeout: 5 * time.Second,
	}}
}

// ask returns which Pod answers for a host, or the status where none does.
func (a *asker) ask(t *testing.T, host string) string {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	r, err := a.http.Do(req)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err.Error()
	}
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return r.Header.Get("X-Pod")
}

func (a *asker) await(t *testing.T, host, pod string) {
	t.Helper()
	lab.Eventually(t, patience, host+" by "+pod, func() error {
		if got := a.ask(t, host); got != pod {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
}

// until asks without a pause until ok is content, and returns when it was.
func (a *asker) until(t *testing.T, host string, ok func(string) bool) time.Time {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		got := a.ask(t, host)
		if ok(got) {
			return time.Now()
		}
		if time.Now().After(late) {
			t.Fatalf("%s answers %s", host, got)
		}
	}
}

// swaps replaces the one endpoint of web, again and again.
func (a *asker) swaps(t *testing.T, c *cluster.Cluster, e *edge.Edge) quantiles {
	var took quantiles
	for i := range rounds {
		next := e.Pod([]string{"web-2", "web-1"}[i%2])
		since := time.Now()
		put(t, c, "web", next)
		took = append(took, a.until(t, "web.example", func(got string) bool { return got == next.Name }).Sub(since))
		for range 20 {
			if got := a.ask(t, "web.example"); got != next.Name {
				t.Fatalf("after %s, %s answered", next.Name, got)
			}
		}
	}
	return took
}

// removals takes one of two endpoints away, again and again: its last answer
// counts.
func (a *asker) removals(t *testing.T, c *cluster.Cluster, e *edge.Edge) quantiles {
	var took quantiles
	one, two := e.Pod("web-1"), e.Pod("web-2")
	for range rounds {
		put(t, c, "web", one, two)
		a.until(t, "web.example", func(got string) bool { return got == two.Name })
		since := time.Now()
		put(t, c, "web", one)
		last := since
		for quiet := 0; quiet < 50; quiet++ {
			if a.ask(t, "web.example") == two.Name {
				last, quiet = time.Now(), 0
			}
		}
		took = append(took, last.Sub(since))
	}
	return took
}

// joins adds an Ingress, again and again.
func (a *asker) joins(t *testing.T, c *cluster.Cluster) quantiles {
	var took quantiles
	for i := range rounds {
		name := fmt.Sprintf("new-%d", i)
		since := time.Now()
		if _, err := c.Client().NetworkingV1().Ingresses("default").Create(t.Context(), ingress(name, name+".example", "web"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		took = append(took, a.until(t, name+".example", func(got string) bool { return strings.HasPrefix(got, "web-") }).Sub(since))
	}
	return took
}

// quantiles are durations that print as such.
type quantiles []time.Duration

func (q quantiles) String() string {
	q = slices.Sorted(slices.Values(q))
	at := func(share float64) time.Duration {
		return q[min(len(q)-1, int(share*float64(len(q))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, longest %v", at(0.5), at(0.99), at(1))
}
