// Package apiserver runs edge nodes whose routes come from a real API server,
// and takes that away from them:
//
//	PORTICO_CLUSTER=1 PORTICO_BIN=$PWD/bin/portico go test -count=1 -v ./test/scenario/apiserver
//
// It needs no IPVS: the directors own the VIP and do not balance, so that the
// owner answers everything itself.
package apiserver

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const patience = 60 * time.Second

// TestAPIServerStops routes by a live API server, kills it, and starts it
// again, while a client makes a request every 10 ms.
func TestAPIServerStops(t *testing.T) {
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	e := edge.New(t, lab.New(t), edge.Options{Nodes: 2, Parts: "vip"})
	c := cluster.Start(t, cluster.Options{Addr: netip.MustParseAddr("172.20.0.10"), Do: on(e.Worker)})
	apply(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: portico}}")
	apply(t, c, edge.DefaultIngress)
	publish(t, c, e.Pod("web-1"), e.Pod("web-2"))
	e.Reconfigure(func(o *edge.Options) {
		o.Kubernetes = fmt.Sprintf("kubeconfig = %q\npublish = [\"172.20.0.119\"]\n", c.Kubeconfig())
	})
	e.Start()
	endpoints(t, e, 2)
	stays := withheld(t, c)
	lab.Eventually(t, patience, "an owner", func() error { _, err := e.Owner(); return err })

	request := e.Request()
	request.Server = edge.ByPod
	probe := e.Client.Probe(10*time.Millisecond, request)
	answers(t, probe, 50)
	since := time.Now()
	publish(t, c, e.Pod("web-1"), e.Pod("web-3"))
	pods(t, e, "web-1", "web-3")
	t.Logf("figure: the API server lives: a Pod left and another joined, served %v later", ms(since))

	since = time.Now()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, n.Name()+" tells", func() error {
			s := n.Status()
			if s.Proxy == nil || s.Proxy.L7.Source == nil || s.Proxy.L7.Source.Error == "" {
				return fmt.Errorf("%+v", s.Proxy)
			}
			t.Logf("%s: source: %s", n, s.Proxy.L7.Source.Error)
			if !s.Proxy.L7.Ready || s.Proxy.L7.Endpoints != 2 {
				t.Errorf("%s: ready %v, %d endpoints", n, s.Proxy.L7.Ready, s.Proxy.L7.Endpoints)
			}
			return nil
		})
	}
	t.Logf("figure: the API server is killed: status tells after %v", ms(since))
	e.Pod("web-3").Stop() // and nobody can tell the nodes
	answers(t, probe, 300)

	since = time.Now()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready := ms(since)
	publish(t, c, e.Pod("web-1"), e.Pod("web-2"))
	pods(t, e, "web-1", "web-2")
	t.Logf("figure: the API server is ready after %v, its news are served %v later", ready, ms(since)-ready)
	answers(t, probe, 100)
	stays()
	tl := probe.Stop()
	t.Logf("figure: all the time: %v", tl)
	if failed := tl.Failed(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(failed), len(tl.Attempts), tl)
	}
}

// on runs the control plane on a node.
func on(n *lab.Node) func(func() error) error {
	return func(f func() error) (err error) {
		n.Do(func() { err = f() })
		return err
	}
}

func publish(t *testing.T, c *cluster.Cluster, pods ...*edge.Pod) {
	t.Helper()
	apply(t, c, edge.ServiceManifest("web", pods...))
}

// apply repeats what is refused: a young API server has no namespace yet.
func apply(t *testing.T, c *cluster.Cluster, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lab.Eventually(t, patience, "apply", func() error { return c.Apply(ctx, text) })
}

// endpoints waits until both proxies know so many Pods.
func endpoints(t *testing.T, e *edge.Edge, want int) {
	t.Helper()
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, fmt.Sprintf("%d endpoints on %s", want, n), func() error {
			if s := n.Status(); s.Proxy == nil || s.Proxy.L7.Endpoints != want {
				return fmt.Errorf("%+v, %v", s.Proxy, s.Missing)
			}
			return nil
		})
	}
}

// pods waits until the proxies of all nodes answer by these Pods, and no others.
func pods(t *testing.T, e *edge.Edge, want ...string) {
	t.Helper()
	for _, n := range e.Nodes {
		request := lab.Request{URL: "http://" + n.Addr + "/", Host: edge.Host, Server: edge.ByPod}
		lab.Eventually(t, patience, fmt.Sprintf("%s answers by %v", n, want), func() error {
			tally := e.Client.Burst(2*len(want), 1, request)
			for _, pod := range want {
				if tally.By[pod] == 0 {
					return fmt.Errorf("%v", tally)
				}
			}
			if len(tally.By) != len(want) {
				return fmt.Errorf("%v", tally)
			}
			return nil
		})
	}
}

// answers waits until a prober has had more answers.
func answers(t *testing.T, p *lab.Prober, more int) {
	t.Helper()
	from := p.OK()
	lab.Eventually(t, patience, fmt.Sprintf("%d more answers", more), func() error {
		if got := p.OK() - from; got < more {
			return fmt.Errorf("%d so far", got)
		}
		return nil
	})
}

func ms(since time.Time) time.Duration { return time.Since(since).Round(time.Millisecond) }

// TestNoIPVS starts a director where the kernel has no IPVS: it says what is
// missing and how to get it.
func TestNoIPVS(t *testing.T) {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Skip("this kernel has IPVS")
	}
	n := edge.New(t, lab.New(t), edge.Options{Nodes: 1}).Nodes[0]
	n.Director.Start()
	err := n.Director.Wait()
	t.Logf("figure: without IPVS: %v: %s", err, strings.TrimSpace(n.Director.Log()))
	if err == nil || !strings.Contains(n.Director.Log(), "modprobe ip_vs") {
		t.Errorf("it ends with %v, and does not name the cure", err)
	}
}
