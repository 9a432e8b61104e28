// Package podroutes runs a director outside of a cluster, which routes to the
// Pods by way of their Nodes:
//
//	PORTICO_CLUSTER=1 PORTICO_BIN=$PWD/bin/portico go test -count=1 -v ./test/scenario/podroutes
package podroutes

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/lab"
)

const patience = 60 * time.Second

// An outsider is an edge node that the cluster does not know.
type outsider struct {
	*lab.Node
	config string
}

func (o outsider) start() *lab.Proc {
	return o.Start(os.Getenv("PORTICO_BIN"), "run", "--config", o.config, "--only", "l4,health")
}

// ours are the routes that carry our mark, as ip prints them.
func (o outsider) ours() []string {
	var out []string
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(o.Output("ip", family, "route", "show", "proto", "112")) {
			out = append(out, strings.Join(strings.Fields(line)[:3], " "))
		}
	}
	slices.Sort(out)
	return out
}

func (o outsider) has(t *testing.T, what string, want ...string) {
	t.Helper()
	since := time.Now()
	lab.Eventually(t, patience, what, func() error {
		if got := o.ours(); !slices.Equal(got, want) {
			return fmt.Errorf("routes %q, want %q", got, want)
		}
		return nil
	})
	t.Logf("figure: %s: after %v", what, time.Since(since).Round(time.Millisecond))
}

func (o outsider) configure(t *testing.T, c *cluster.Cluster, onExit string) {
	t.Helper()
	text := fmt.Sprintf(`[node]
name      = "outsider"
interface = "eth0"
run_dir   = "%[1]s/run"
state_dir = "%[1]s/state"

[admin]
socket    = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"

[l7.kubernetes]
kubeconfig = %[2]q
pod_routes = "host-gw"
pod_routes_on_exit = %[3]q
`, o.Dir(), c.Kubeconfig(), onExit)
	if err := os.WriteFile(o.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPodRoutes follows Nodes as they come and go, and the tables of the kernel
// as others change them.
func TestPodRoutes(t *testing.T) {
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	l := lab.New(t)
	lan := l.Network("lan")
	worker := l.Node("worker")
	worker.Attach(lan, "eth0", "172.20.0.10/24", "fd00:20::10/64")
	worker.AddAddr("lo", "10.244.1.5/32")
	worker.Serve("10.244.1.5:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pod") }))
	o := outsider{Node: l.Node("outsider")}
	o.config = filepath.Join(o.Dir(), "portico.toml")
	o.Attach(lan, "eth0", "172.20.0.11/24", "fd00:20::11/64")
	o.Route("10.244.3.0/24", "172.20.0.13") // a foreign one
	c := cluster.Start(t, cluster.Options{Addr: netip.MustParseAddr("172.20.0.10"), Do: func(f func() error) (err error) {
		worker.Do(func() { err = f() })
		return err
	}})
	join(t, c, "worker", "172.20.0.10,fd00:20::10", "10.244.1.0/24", "fd00:244:1::/64")
	join(t, c, "second", "172.20.0.12", "10.244.2.0/24")
	join(t, c, "third", "172.20.0.13", "10.244.3.0/24")
	join(t, c, "far", "10.9.9.9", "10.244.9.0/24")
	join(t, c, "itself", "172.20.0.11", "10.244.11.0/24")
	o.configure(t, c, "keep")
	p := o.start()
	both := []string{"10.244.1.0/24 via 172.20.0.10", "10.244.2.0/24 via 172.20.0.12", "fd00:244:1::/64 via fd00:20::10"}
	o.has(t, "the first routes", both...)
	if _, err := o.HTTPClient().Get("http://10.244.1.5/"); err != nil {
		t.Errorf("a Pod is not reached: %v", err)
	}
	said, _ := o.Command(os.Getenv("PORTICO_BIN"), "status", "--config", o.config).CombinedOutput()
	t.Logf("portico status\n%s", said)
	for _, want := range []string{"routes to pods: ", "via 172.20.0.12", "another program routes 10.244.3.0/24", "Node far: ", "must stand on a network of this machine"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("status does not say %q", want)
		}
	}

	o.Output("ip", "route", "del", "10.244.1.0/24")
	o.has(t, "one that somebody removed", both...)
	if err := c.Client().CoreV1().Nodes().Delete(t.Context(), "second", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	one := []string{both[0], both[2]}
	o.has(t, "its Node is deleted", one...)

	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	o.has(t, "stopped, they stay", one...)
	for _, r := range one { // as a boot does
		o.Output("ip", "route", "del", strings.Fields(r)[0])
	}
	p = o.start()
	o.has(t, "a start without the API server", one...)
	p.Stop()
	o.Output(os.Getenv("PORTICO_BIN"), "flush", "--config", o.config)
	o.has(t, "flushed")

	o.configure(t, c, "withdraw")
	p = o.start()
	o.has(t, "again", one...)
	p.Stop()
	o.has(t, "withdrawn on exit")
	if foreign := o.Output("ip", "route", "show", "10.244.3.0/24"); !strings.Contains(foreign, "via 172.20.0.13") {
		t.Errorf("the foreign route is %q", foreign)
	}
}

// join makes a Node as its kubelet and the node controller would.
func join(t *testing.T, c *cluster.Cluster, name, addrs string, pods ...string) {
	t.Helper()
	api := c.Client().CoreV1().Nodes()
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: pods[0], PodCIDRs: pods}}
	o, err := api.Create(t.Context(), o, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range strings.Split(addrs, ",") {
		o.Status.Addresses = append(o.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	if _, err := api.UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
