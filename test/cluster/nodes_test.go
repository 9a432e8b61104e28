package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/cluster"
)

// patience bounds waiting and is no claim.
const patience = time.Minute

// edgenodes is what a director follows in these tests.
const edgenodes = "edgenode=true"

// A director follows Nodes as portico's does, with the rights that the
// packages' RBAC objects give.
type director struct {
	*nodes.Follower
	t       *testing.T
	changed chan struct{}
	stop    func()
}

func direct(t *testing.T, c *cluster.Cluster, token, stateFile string) *director {
	d := &director{t: t, changed: make(chan struct{}, 1)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	d.Follower = nodes.New(nodes.Options{Log: log, StateFile: stateFile, Apply: func() {
		select {
		case d.changed <- struct{}{}:
		default: // already rung
		}
	}})
	d.Set(nodes.Config{Selectors: []string{edgenodes}, Connect: func() (nodes.Source, error) {
		return kube.NewNodeWatcher(kube.WatchOptions{Log: log, Endpoints: []string{c.URL()}, TokenFile: token, CAFile: c.CAFile()}, []string{edgenodes})
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func() { close(ready) }) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(d.stop)
	<-ready
	return d
}

// servers prints what Nodes there are for servers.
func (d *director) servers() string {
	var all []string
	for _, n := range d.Nodes()[edgenodes] {
		all = append(all, fmt.Sprint(n.Name, n.Addrs))
	}
	return strings.Join(all, " ")
}

// expect waits for servers, and returns how long that took.
func (d *director) expect(what, want string) time.Duration {
	d.t.Helper()
	since, late := time.Now(), time.After(patience)
	for d.servers() != want {
		select {
		case <-d.changed:
		case <-late:
			d.t.Fatalf("%s: servers are %q, want %q; status %+v", what, d.servers(), want, d.Status())
		}
	}
	took := time.Since(since).Round(time.Millisecond)
	d.t.Logf("figure: %s: the servers are %q after %v", what, want, took)
	return took
}

// status waits until ok finds what it looks for.
func (d *director) status(what string, ok func(*nodes.Status, nodes.SelectorStatus) bool) {
	d.t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for s := d.Status(); !ok(s, s.Selectors[0]); s = d.Status() {
		select {
		case <-tick.C:
		case <-late:
			d.t.Fatalf("%s: status %+v", what, s)
		}
	}
}

// change changes a Node and its status, and makes it if there is none.
func change(t *testing.T, c *cluster.Cluster, name string, changes ...func(*corev1.Node)) {
	t.Helper()
	api := c.Client().CoreV1().Nodes()
	n, err := api.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		n, err = api.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range changes {
		f(n)
	}
	status := n.Status
	if n, err = api.Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.Status = status
	if _, err = api.UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func labelled(n *corev1.Node)   { n.Labels = map[string]string{"edgenode": "true"} }
func unlabelled(n *corev1.Node) { n.Labels = nil }

func cordoned(yes bool) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Unschedulable = yes }
}

func ready(s corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: s, Reason: "Test"}}
	}
}

func at(addrs ...string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Addresses = nil
		for _, a := range addrs {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}
	}
}

// TestNodes lets a director follow Nodes through all that happens to them, and
// then takes the API server away.
func TestNodes(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	token := allow(t, c)
	state := filepath.Join(t.TempDir(), "director", "nodes.json")
	d := direct(t, c, token, state)
	if got := d.servers(); got != "" {
		t.Errorf("of no Node became %q", got)
	}

	change(t, c, "worker", at("10.0.0.9"), ready(corev1.ConditionTrue))
	change(t, c, "edge-2", labelled, at("10.0.0.2"), ready(corev1.ConditionTrue))
	d.expect("a Node that is ready", "edge-2[10.0.0.2]")
	change(t, c, "edge-1", labelled, at("10.0.0.1", "2001:db8::1"), ready(corev1.ConditionFalse))
	d.status("one that is not ready", func(_ *nodes.Status, s nodes.SelectorStatus) bool {
		return len(s.LeftOut) == 1 && s.LeftOut[0] == nodes.LeftOut{Name: "edge-1", Reason: "is not ready: Test"}
	})
	change(t, c, "edge-1", ready(corev1.ConditionTrue))
	d.expect("and then is", "edge-1[10.0.0.1 2001:db8::1] edge-2[10.0.0.2]")
	change(t, c, "edge-2", cordoned(true))
	d.expect("one is cordoned", "edge-1[10.0.0.1 2001:db8::1]")
	change(t, c, "edge-2", cordoned(false))
	d.expect("and uncordoned", "edge-1[10.0.0.1 2001:db8::1] edge-2[10.0.0.2]")
	change(t, c, "edge-1", unlabelled)
	d.expect("one loses the label", "edge-2[10.0.0.2]")
	change(t, c, "worker", labelled)
	d.expect("another gets it", "edge-2[10.0.0.2] worker[10.0.0.9]")
	change(t, c, "worker", at("10.0.0.8"))
	d.expect("one moves", "edge-2[10.0.0.2] worker[10.0.0.8]")
	if err := c.Client().CoreV1().Nodes().Delete(t.Context(), "worker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.expect("one is deleted", "edge-2[10.0.0.2]")
	change(t, c, "edge-2", ready(corev1.ConditionUnknown))
	d.status("none is ready", func(_ *nodes.Status, s nodes.SelectorStatus) bool { return s.Held && len(s.Nodes) == 1 })
	d.expect("and the last one stays", "edge-2[10.0.0.2]")
	change(t, c, "edge-2", ready(corev1.ConditionTrue))
	d.status("it is ready again", func(_ *nodes.Status, s nodes.SelectorStatus) bool { return !s.Held })

	outage(t, c, d, token, state)
}

// outage kills the API server, starts the director anew without it, and brings
// it back with other Nodes.
func outage(t *testing.T, c *cluster.Cluster, d *director, token, state string) {
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	d.status("the API server is killed", func(s *nodes.Status, _ nodes.SelectorStatus) bool { return s.Error != "" })
	t.Logf("figure: the API server is killed: status tells after %v: %s", time.Since(killed).Round(time.Millisecond), d.Status().Error)
	d.expect("without the API server", "edge-2[10.0.0.2]")
	d.stop()

	since := time.Now()
	d = direct(t, c, token, state)
	took := time.Since(since)
	d.expect("a director starts without the API server", "edge-2[10.0.0.2]")
	if s := d.Status().Selectors[0]; took > 4*time.Second || s.Read.IsZero() || s.Read.After(since) {
		t.Errorf("ready after %v, the API was last read at %v, and killed at %v", took, s.Read, killed)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(t, c, "edge-1", labelled)
	d.expect("the API server is back, with one more", "edge-1[10.0.0.1 2001:db8::1] edge-2[10.0.0.2]")
	d.status("all is well", func(s *nodes.Status, sel nodes.SelectorStatus) bool {
		return s.Error == "" && s.From == c.URL() && time.Since(sel.Read) < time.Minute
	})
}

// allow gives a director the rights that the packages' objects give, and
// returns the file of its token.
func allow(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	objects, err := os.ReadFile("../../packaging/kubernetes/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), string(objects)); err != nil {
		t.Fatal(err)
	}
	token, err := c.Token(t.Context(), "portico", "portico")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
