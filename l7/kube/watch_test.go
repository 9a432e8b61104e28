package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/cluster"
)

const watched = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: portico}
spec: {controller: portico.io/ingress-controller}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", kept: "yes"}
spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.244.0.5]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, labels: {edge: "yes"}, annotations: {auth-secret: users, tls: "half-a-pair, opaque-pair"}}
spec:
  tls: [{secretName: tls}, {secretName: release}, {secretName: password}]
  ingressClassName: portico
  defaultBackend: {service: {name: web, port: {name: http}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: other}
spec:
  defaultBackend: {service: {name: web, port: {name: http}}}
---
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: shop}
type: kubernetes.io/tls
stringData: {tls.crt: cert, tls.key: key, more: "left out"}
---
apiVersion: v1
kind: Secret
metadata: {name: opaque-pair, namespace: shop}
stringData: {tls.crt: cert, tls.key: key, ca.crt: ca}
---
apiVersion: v1
kind: Secret
metadata: {name: half-a-pair, namespace: shop}
stringData: {tls.crt: cert}
---
apiVersion: v1
kind: Secret
metadata: {name: users, namespace: shop}
stringData: {auth: "somebody:{SHA}VBPuJHI7uixaa6LQGx4s+5GKNjo="}
---
apiVersion: v1
kind: Secret
metadata: {name: users, namespace: other}
stringData: {auth: "somebody:{SHA}VBPuJHI7uixaa6LQGx4s+5GKNjo="}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: shop}
stringData: {password: secret}
---
apiVersion: v1
kind: Secret
metadata: {name: release, namespace: shop}
type: helm.sh/release.v1
stringData: {tls.crt: cert, tls.key: key}
`

// names lists what o holds, sorted, with the kind of each.
func names(o *kube.Objects) (all []string) {
	for _, x := range o.Ingresses {
		all = append(all, "ingress "+x.Namespace+"/"+x.Name)
	}
	for _, x := range o.Classes {
		all = append(all, "class "+x.Name)
	}
	for _, x := range o.Services {
		all = append(all, "service "+x.Namespace+"/"+x.Name)
	}
	for _, x := range o.Slices {
		all = append(all, "slice "+x.Namespace+"/"+x.Name)
	}
	for _, x := range o.Secrets {
		all = append(all, "secret "+x.Namespace+"/"+x.Name)
	}
	slices.Sort(all)
	return all
}

// inShop are the names of what watched holds in the namespace shop and is kept.
var inShop = []string{
	"ingress shop/web",
	"secret shop/half-a-pair", "secret shop/opaque-pair", "secret shop/tls", "secret shop/users",
	"service shop/web",
	"slice shop/web-1",
}

func startCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Start(t, cluster.Options{})
	apply(t, c, watched)
	return c
}

func apply(t *testing.T, c *cluster.Cluster, yaml string) {
	t.Helper()
	if err := c.Apply(t.Context(), yaml); err != nil {
		t.Fatal(err)
	}
}

// run starts a Watcher. stop ends it, and so does the end of the test.
func run(t *testing.T, o kube.WatchOptions) (w *kube.Watcher, ready <-chan struct{}, stop func()) {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	w, err := kube.NewWatcher(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	synced, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(ctx, func() { close(synced) }) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return w, synced, stop
}

// runReady starts a Watcher that has to become ready.
func runReady(t *testing.T, o kube.WatchOptions) *kube.Watcher {
	t.Helper()
	w, ready, _ := run(t, o)
	awaitReady(t, w, ready)
	return w
}

func awaitReady(t *testing.T, w *kube.Watcher, ready <-chan struct{}) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatalf("not ready: %+v", w.Status())
	}
}

// await returns when ok does with what w has.
func await(t *testing.T, w *kube.Watcher, what string, ok func(*kube.Objects) bool) {
	t.Helper()
	late := time.After(time.Minute)
	for !ok(w.Objects()) {
		select {
		case <-w.Changed():
		case <-late:
			t.Fatalf("%s: not seen; status %+v", what, w.Status())
		}
	}
}

// awaitStatus returns the status that satisfies ok; nothing rings for it.
func awaitStatus(t *testing.T, w *kube.Watcher, what string, ok func(kube.SourceStatus) bool) kube.SourceStatus {
	t.Helper()
	late, tick := time.After(time.Minute), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for {
		s := w.Status()
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: status is %+v", what, s)
		}
	}
}

func TestWatcherKeepsWhatItNeeds(t *testing.T) {
	c := startCluster(t)
	for _, test := range []struct {
		name    string
		options kube.WatchOptions
		want    []string
	}{
		{
			name:    "one namespace",
			options: kube.WatchOptions{Namespaces: []string{"shop"}},
			want:    append([]string{"class portico"}, inShop...),
		},
		{
			name:    "two namespaces",
			options: kube.WatchOptions{Namespaces: []string{"shop", "other"}},
			want:    append([]string{"class portico", "ingress other/web"}, inShop...),
		},
		{
			name:    "all namespaces, by label",
			options: kube.WatchOptions{LabelSelector: "edge=yes"},
			want:    append([]string{"class portico", "service default/kubernetes", "slice default/kubernetes"}, inShop...),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			there := goleak.IgnoreCurrent()
			test.options.Kubeconfig = c.Kubeconfig()
			w, ready, stop := run(t, test.options)
			if o := w.Objects(); o != nil {
				select {
				case <-ready:
				default:
					t.Error("there are objects before all are there")
				}
			}
			<-ready
			o := w.Objects()
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), names(o)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			for _, s := range o.Secrets {
				if s.Data["more"] != nil || s.ManagedFields != nil {
					t.Errorf("secret %s came with %v and %v", s.Name, s.Data, s.ManagedFields)
				}
			}
			for _, s := range o.Services {
				if s.Namespace == "shop" && !cmp.Equal(s.Annotations, map[string]string{"kept": "yes"}) {
					t.Errorf("service came with annotations %v", s.Annotations)
				}
			}
			if s := w.Status(); !s.Synced || s.Err != "" || s.Problems != nil || s.Counts != o.Count() || s.From != c.URL() {
				t.Errorf("status %+v", s)
			}
			stop()
			goleak.VerifyNone(t, there)
		})
	}
}

// TestWatcherIsQuick prints how long after the first byte of a request to the
// API server its effect is there.
func TestWatcherIsQuick(t *testing.T) {
	c := startCluster(t)
	w := runReady(t, kube.WatchOptions{Kubeconfig: c.Kubeconfig(), Namespaces: []string{"shop"}})
	client := c.Client().DiscoveryV1().EndpointSlices("shop")
	address := func(o *kube.Objects) string {
		for _, s := range o.Slices {
			if s.Name == "pod" {
				return s.Endpoints[0].Addresses[0]
			}
		}
		return ""
	}
	slice := func(address string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: "pod"},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}}},
		}
	}
	steps := []struct {
		name, want string
		do         func() error
		took       []time.Duration
	}{
		{name: "add", want: "10.244.0.6", do: func() error {
			_, err := client.Create(t.Context(), slice("10.244.0.6"), metav1.CreateOptions{})
			return err
		}},
		{name: "change", want: "10.244.0.7", do: func() error {
			_, err := client.Update(t.Context(), slice("10.244.0.7"), metav1.UpdateOptions{})
			return err
		}},
		{name: "remove", want: "", do: func() error {
			return client.Delete(t.Context(), "pod", metav1.DeleteOptions{})
		}},
	}
	before := w.Objects()
	const rounds = 50
	for range rounds {
		for i := range steps {
			s := &steps[i]
			began := time.Now()
			if err := s.do(); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			await(t, w, s.name, func(o *kube.Objects) bool { return address(o) == s.want })
			s.took = append(s.took, time.Since(began))
		}
	}
	for _, s := range steps {
		slices.Sort(s.took)
		t.Logf("%-6s seen after: median %v, longest %v", s.name, s.took[rounds/2], s.took[rounds-1])
		if s.took[rounds/2] > time.Second {
			t.Errorf("%s is held back", s.name)
		}
	}
	after := w.Objects()
	if got := after.Gen.Slices - before.Gen.Slices; got != 3*rounds {
		t.Errorf("slices changed %d times, want %d", got, 3*rounds)
	}
	if after.Gen.Ingresses != before.Gen.Ingresses || after.Gen.Secrets != before.Gen.Secrets {
		t.Errorf("generations of what did not change went from %+v to %+v", before.Gen, after.Gen)
	}
	if address(before) != "" || len(before.Slices) != 1 {
		t.Error("objects handed out before have changed")
	}
}

func TestWatcherOutlivesTheServer(t *testing.T) {
	c := startCluster(t)
	w := runReady(t, kube.WatchOptions{Kubeconfig: c.Kubeconfig(), Namespaces: []string{"shop"}})
	want := names(w.Objects())

	stopped := time.Now()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	s := awaitStatus(t, w, "outage", func(s kube.SourceStatus) bool { return s.Err != "" })
	t.Logf("outage noticed after %v: %s", time.Since(stopped), s.Err)
	if s.ErrSince.Before(stopped) || !s.Synced {
		t.Errorf("status %+v, stopped at %v", s, stopped)
	}
	if got := names(w.Objects()); !slices.Equal(got, want) {
		t.Errorf("objects went away with the server: %q, want %q", got, want)
	}

	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	apply(t, c, strings.ReplaceAll(watched, "10.244.0.5", "10.244.0.99"))
	await(t, w, "change after the outage", func(o *kube.Objects) bool {
		return o.Slices[0].Endpoints[0].Addresses[0] == "10.244.0.99"
	})
	t.Logf("change seen %v after the API server was ready", time.Since(back))
	awaitStatus(t, w, "recovery", func(s kube.SourceStatus) bool { return s.Err == "" && s.ErrSince.IsZero() })
	t.Logf("all watched again after %v", time.Since(back))
}

func TestNewWatcherNamesTheFault(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for _, test := range []struct {
		options kube.WatchOptions
		want    string
	}{
		{kube.WatchOptions{}, "neither kubeconfig nor endpoints"},
		{kube.WatchOptions{Kubeconfig: missing}, missing},
		{kube.WatchOptions{Endpoints: []string{"172.16.0.36"}}, `endpoint "172.16.0.36"`},
		{kube.WatchOptions{Endpoints: []string{"https://a"}, TokenFile: missing}, missing},
		{kube.WatchOptions{Endpoints: []string{"https://a"}, CAFile: missing}, missing},
		{kube.WatchOptions{Endpoints: []string{"https://a"}, LabelSelector: "a in b"}, `l7.kubernetes.label_selector "a in b"`},
	} {
		_, err := kube.NewWatcher(test.options)
		if got := fmt.Sprint(err); !strings.Contains(got, test.want) {
			t.Errorf("%+v: got %q, want %q in it", test.options, got, test.want)
		}
	}
}
