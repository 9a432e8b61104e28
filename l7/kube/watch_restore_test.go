package kube_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// TestWatcherStartsWithoutTheServer is about a node that boots while the API
// server is down, and about what that says when it is back.
func TestWatcherStartsWithoutTheServer(t *testing.T) {
	c := startCluster(t)
	o := kube.WatchOptions{
		Kubeconfig: c.Kubeconfig(),
		Namespaces: []string{"shop", "other"},
		Snapshot:   filepath.Join(t.TempDir(), "l7", "snapshot"),
		Restore:    true,
	}
	w, ready, stop := run(t, o)
	awaitReady(t, w, ready)
	if s := w.Status(); !s.Restored.IsZero() {
		t.Errorf("with the API server there, the status is %+v", s)
	}
	awaitStatus(t, w, "all readings", func(s kube.SourceStatus) bool { return s.Err == "" })
	w.Keep(w.Objects(), func() []route.Backend { return []route.Backend{{Namespace: "shop", Service: "web", Port: "http"}} })
	stop()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	w, ready, stop = run(t, o)
	awaitReady(t, w, ready)
	t.Logf("figure: ready without the API server after %v", time.Since(began))
	want := append([]string{"class portico", "ingress other/web"}, inShop...)
	if got := names(w.Objects()); !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	s := w.Status()
	if s.Restored.IsZero() || s.Restored.After(began) || !s.Synced {
		t.Errorf("the status is %+v, begun at %v", s, began)
	}
	before := w.Objects().Gen
	w.Keep(w.Objects(), func() []route.Backend { return nil }) // may not count as confirmed
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, w, "recovery", func(s kube.SourceStatus) bool { return s.Restored.IsZero() && s.Err == "" })
	if after := w.Objects().Gen; after.Ingresses != before.Ingresses || after.Slices != before.Slices {
		t.Errorf("what the API server says is what it said, and generations went from %+v to %+v", before, after)
	}
	stop()

	// All Ingresses leave while nobody looks.
	ingresses := c.Client().NetworkingV1().Ingresses
	for _, ns := range o.Namespaces {
		if err := ingresses(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	w, ready, _ = run(t, o)
	awaitReady(t, w, ready)
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	await(t, w, "no Ingress", func(o *kube.Objects) bool { return len(o.Ingresses) == 0 })
	t.Logf("figure: an empty list is believed after %v", time.Since(back))
	if time.Since(back) < 4*time.Second {
		t.Error("it was believed at once")
	}
	awaitStatus(t, w, "recovery", func(s kube.SourceStatus) bool { return s.Restored.IsZero() && s.Err == "" })
}

// TestWatcherGoesWithout is about a right that is missing in one of two
// namespaces: the other is served, and the status says what is missing.
func TestWatcherGoesWithout(t *testing.T) {
	c := startCluster(t)
	objects := strings.Replace(rbac(t), "name: portico\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: portico\n",
		"name: portico\n  namespace: shop\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: portico\n", 1)
	objects = strings.Replace(objects, "kind: ClusterRoleBinding\nmetadata:\n  name: portico\n  namespace: shop", "kind: RoleBinding\nmetadata:\n  name: portico\n  namespace: shop", 1)
	if objects == rbac(t) {
		t.Fatal("rbac.yaml has changed")
	}
	apply(t, c, objects)
	o := withToken(t, c)
	o.Namespaces, o.Restore = []string{"shop", "other"}, true
	began := time.Now()
	w := runReady(t, o)
	t.Logf("figure: ready without a namespace after %v", time.Since(began))
	if got := names(w.Objects()); !slices.Equal(got, inShop) {
		t.Errorf("there are %q, want %q", got, inShop)
	}
	var told []string
	s := w.Status()
	for _, p := range s.Problems {
		told = append(told, p.Object)
	}
	if told = append(told, s.Err); !strings.Contains(strings.Join(told, "\n"), "secrets with type=Opaque in namespace other") || len(told) != 6 {
		t.Errorf("the status names %q", told)
	}
	if !strings.Contains(s.Err, "in namespace other") {
		t.Errorf("the error is %q", s.Err)
	}
}

// TestWatcherStartsAnew is about a first start without an API server: there is
// nothing to serve, and that is no file's fault.
func TestWatcherStartsAnew(t *testing.T) {
	dir := t.TempDir()
	o := kube.WatchOptions{Endpoints: []string{"https://127.0.0.1:1"}, Snapshot: filepath.Join(dir, "snapshot"), Restore: true}
	w, ready, stop := run(t, o)
	s := awaitStatus(t, w, "error", func(s kube.SourceStatus) bool { return s.Err != "" })
	select {
	case <-ready:
		t.Errorf("ready with nothing: %+v", s)
	default:
	}
	stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has written %v, %v", left, err)
	}
}
