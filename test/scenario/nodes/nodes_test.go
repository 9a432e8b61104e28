// Package nodes runs edge nodes whose servers follow the Nodes of a real API
// server, in a real kernel with IPVS:
//
//	PORTICO_CLUSTER=1 PORTICO_BIN=$PWD/bin/portico go test -count=1 -v -exec "$PWD/bin/vm" ./test/scenario/nodes
package nodes

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const patience = 60 * time.Second

// TestServersFollowNodes cordons a Node under live connections, takes the API
// server away over a start of all directors, and brings it back.
func TestServersFollowNodes(t *testing.T) {
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	lab.NeedIPVS(t)
	e := edge.New(t, lab.New(t), edge.Options{})
	c := cluster.Start(t, cluster.Options{Addr: netip.MustParseAddr("172.20.0.10"), Do: on(e.Worker)})
	lab.Eventually(t, patience, "apply", func() error {
		return c.Apply(t.Context(), edge.DefaultIngress+"---\n"+edge.ServiceManifest("web", e.Pod("web-1"), e.Pod("web-2"), e.Pod("web-3")))
	})
	e.Reconfigure(func(o *edge.Options) { o.Kubernetes = fmt.Sprintf("kubeconfig = %q\n", c.Kubeconfig()) })
	for _, n := range e.Nodes {
		create(t, c, n)
		n.RewriteConfig(func(text string) string {
			text = strings.Replace(text, "run_dir ", fmt.Sprintf("state_dir = %q\nrun_dir ", stateDir(n)), 1)
			return strings.Replace(text, "server    = ["+e.Servers()+"]", `servers_from = { node_selector = "edgenode=true" }`, 1)
		})
	}
	e.Start()
	owner := e.WaitReady(patience)
	t.Logf("%s:\n%s", owner, owner.IPVS())

	held := e.Hold(30)
	left := e.Others(owner)[0]
	streams := held.Alive()[left.Name()]
	if streams == 0 {
		t.Fatalf("no connection on %s: %v", left, held.Alive())
	}
	since := time.Now()
	cordon(t, c, left, true)
	weight(t, owner, left, 0)
	t.Logf("figure: %s is cordoned: weight 0 after %v, with %d connections", left, ms(since), streams)
	alike(t, e, left)
	tally := e.Client.Burst(60, 4, e.Request())
	t.Logf("figure: while it drains: %v; held connections: %v", tally, held.Alive())
	if tally.By[left.Name()] != 0 || len(tally.By) != 2 || held.Alive()[left.Name()] != streams {
		t.Errorf("held connections %v, of %d on %s", held.Alive(), streams, left)
	}
	text, _ := owner.Portico("status")
	t.Logf("%s: portico status\n%s", owner, text)
	for _, want := range []string{"nodes with edgenode=true: 2 serve, 1 left out", left.Name() + " left out: is cordoned", "draining"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q", want)
		}
	}
	held.Release()
	since = time.Now()
	weight(t, owner, left, -1)
	t.Logf("figure: its connections end: it leaves after %v", ms(since))

	outage(t, e, c, left)
}

// outage kills the API server, starts the directors as after a boot without it,
// and brings it back. left is cordoned.
func outage(t *testing.T, e *edge.Edge, c *cluster.Cluster, left *edge.Node) {
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range e.Nodes {
		if err := n.Director.Stop(); err != nil {
			t.Errorf("%s: %v", n, err)
		}
		if err := os.RemoveAll(filepath.Join(n.Dir(), "run")); err != nil {
			t.Fatal(err)
		}
	}
	since := time.Now()
	for _, n := range e.Nodes {
		n.Director.Start()
	}
	owner := e.WaitOwner(patience)
	for _, n := range e.Others(left) {
		weight(t, owner, n, 1)
	}
	t.Logf("figure: all directors start without the API server: the last Nodes serve after %v", ms(since))
	if w := owner.Weight(left); w != -1 {
		t.Errorf("without the API server %s has weight %d at %s", left, w, owner)
	}
	said, _ := owner.Portico("status")
	t.Logf("%s: portico status\n%s", owner, said)
	for _, want := range []string{"nodes with edgenode=true: 2 serve", "nodes cannot be read for"} {
		if !strings.Contains(said, want) {
			t.Errorf("status does not say %q", want)
		}
	}

	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	since = time.Now()
	cordon(t, c, left, false)
	weight(t, owner, left, 1)
	tally := e.Client.Burst(60, 4, e.Request())
	t.Logf("figure: the API server is back and %s uncordoned: it serves after %v; %v", left, ms(since), tally)
	if tally.Answered != 60 || len(tally.By) != 3 {
		t.Errorf("of 60 requests: %v", tally)
	}
}

// create makes the Node of an edge node, as its kubelet would.
func create(t *testing.T, c *cluster.Cluster, n *edge.Node) {
	t.Helper()
	api := c.Client().CoreV1().Nodes()
	o, err := api.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name(), Labels: map[string]string{"edgenode": "true"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.Status = corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.Addr}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}
	if _, err := api.UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func cordon(t *testing.T, c *cluster.Cluster, n *edge.Node, yes bool) {
	t.Helper()
	api := c.Client().CoreV1().Nodes()
	o, err := api.Get(t.Context(), n.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.Spec.Unschedulable = yes
	if _, err := api.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// weight waits until a director gives a node that weight; -1 is none at all.
func weight(t *testing.T, director, of *edge.Node, want int) {
	t.Helper()
	lab.Eventually(t, patience, fmt.Sprintf("%s gives %s weight %d", director, of, want), func() error {
		if w := director.Weight(of); w != want {
			return fmt.Errorf("weight %d:\n%s", w, director.IPVS())
		}
		return nil
	})
}

// alike waits until all directors have come to the same servers: whoever owns
// the address next goes on with the same table.
func alike(t *testing.T, e *edge.Edge, left *edge.Node) {
	t.Helper()
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, fmt.Sprintf("%s goes without %s", n, left), func() error {
			text, _ := n.Portico("status")
			if want := left.Name() + " left out: is cordoned"; !strings.Contains(text, want) {
				return fmt.Errorf("%q is not in\n%s", want, text)
			}
			return nil
		})
	}
}

func stateDir(n *edge.Node) string { return filepath.Join(n.Dir(), "state") }

// on runs the control plane on a node.
func on(n *lab.Node) func(func() error) error {
	return func(f func() error) (err error) {
		n.Do(func() { err = f() })
		return err
	}
}

func ms(since time.Time) time.Duration { return time.Since(since).Round(time.Millisecond) }
