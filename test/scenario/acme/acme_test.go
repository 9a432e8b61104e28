// Package acme runs three edge nodes behind one VIP that share certificates by
// an API server, and takes away the one that is in the middle of getting one:
//
//	PORTICO_CLUSTER=1 PORTICO_BIN=$PWD/bin/portico go test -count=1 -v ./test/scenario/acme
//
// It needs no IPVS: the directors own the VIP and do not balance, so that the
// owner answers everything itself, the CA's questions as well.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
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
	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/test/pebble"
)

const (
	patience  = 60 * time.Second
	namespace = "portico"
)

// validation is how long the CA may take before it asks: long enough for the
// VIP to move in the meantime.
const validation = 10 * time.Second

// A world is three edges, an API server and a CA.
type world struct {
	*edge.Edge
	cluster  *cluster.Cluster
	ca       *pebble.CA
	programs []*lab.Proc // of the CA
	roots    *x509.CertPool
}

func build(t *testing.T, challenge string) *world {
	t.Helper()
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	e := edge.New(t, lab.New(t), edge.Options{Parts: "vip"})
	w := &world{Edge: e}
	worker := netip.MustParseAddr("172.20.0.10")
	w.cluster = cluster.Start(t, cluster.Options{Addr: worker, Do: func(f func() error) (err error) {
		e.Worker.Do(func() { err = f() })
		return err
	}})
	w.ca = pebble.Start(t, pebble.Options{
		Listen: worker, Names: netip.MustParseAddr(e.VIP()), HTTP: 80, TLS: 443, Validation: validation,
		Run: func(name string, args ...string) { w.programs = append(w.programs, e.Worker.Start(name, args...)) },
	})
	client := w.ca.Client(e.Client.DialContext)
	w.ca.Await(t, client)
	w.roots = w.ca.Issuers(t, client)
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, w.ca.Roots, 0o600); err != nil {
		t.Fatal(err)
	}
	w.apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}\n")
	w.apply(t, ingress("plain", "plain.example.test", false))
	e.Reconfigure(func(o *edge.Options) {
		o.Kubernetes = fmt.Sprintf("kubeconfig = %q\n\n[l7.acme]\nca = %q\nca_root_file = %q\nchallenges = [%q]\n",
			w.cluster.Kubeconfig(), w.ca.Directory, roots, challenge)
	})
	return w
}

func (w *world) apply(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lab.Eventually(t, patience, "apply", func() error { return w.cluster.Apply(ctx, text) })
}

// ingress is an Ingress whose host asks for a certificate, or does not.
func ingress(name, host string, tls bool) string {
	text := fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s, namespace: default}
spec:
  ingressClassName: portico
  rules:
  - host: %[2]s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`, name, host)
	if tls {
		text += fmt.Sprintf("  tls: [{hosts: [%s]}]\n", host)
	}
	return text
}

// orders returns the node that holds the Lease.
func (w *world) orders() (*edge.Node, error) {
	lease, err := w.cluster.Client().CoordinationV1().Leases(namespace).Get(context.Background(), "portico-acme", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return nil, errors.New("nobody holds the Lease")
	}
	for _, n := range w.Nodes {
		if strings.HasPrefix(*lease.Spec.HolderIdentity, n.Name()+"_") {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the Lease is held by %s", *lease.Spec.HolderIdentity)
}

// challenge returns the challenge that is open.
func (w *world) challenge() (*corev1.Secret, error) {
	list, err := w.cluster.Client().CoreV1().Secrets(namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "portico.io/acme=challenge"})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no challenge is open")
	}
	return &list.Items[0], nil
}

// told is how often the CA was told to look at a challenge.
func (w *world) told() (n int) {
	for _, p := range w.programs {
		n += strings.Count(p.Log(), "POST /chalZ/")
	}
	return n
}

// shows says which certificate host is shown at addr; it must be the CA's.
func (w *world) shows(addr, host string) (*x509.Certificate, error) {
	conn, err := w.Client.DialContext(context.Background(), "tcp", net.JoinHostPort(addr, "443"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	c := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: w.roots})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

// TestOwnerKilled kills the node that owns the VIP and orders, between the
// moment it told the CA to look and the one the CA does.
func TestOwnerKilled(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel() // the CA and the Leases take their time
			ownerKilled(t, challenge)
		})
	}
}

func ownerKilled(t *testing.T, challenge string) {
	w := build(t, challenge)
	const first, second = "first.example.test", "second.example.test"
	owner := w.Nodes[0]
	owner.Director.Start()
	owner.Proxy.Start()
	w.owned(t, owner)
	lab.Eventually(t, patience, "it orders", func() error { _, err := w.orders(); return err })
	for _, n := range w.Nodes[1:] {
		n.Director.Start()
		n.Proxy.Start()
	}
	w.ready(t)

	since := time.Now()
	w.apply(t, ingress("first", first, true))
	leaf := w.everywhere(t, first, w.Nodes...)
	t.Logf("figure: %s: from the Ingress to its certificate at three edges %v, of which the CA may take %v", challenge, ms(since), validation)

	told := w.told()
	w.apply(t, ingress("second", second, true))
	lab.Eventually(t, patience, "the CA is told to look", func() error {
		if w.told() == told {
			return errors.New("not yet")
		}
		return nil
	})
	secret, err := w.challenge()
	if err != nil {
		t.Fatal(err)
	}
	since = time.Now()
	w.LAN.Unplug(owner.Node)
	owner.Proxy.Kill()
	owner.Director.Kill()
	next := w.owned(t, w.Nodes[1:]...)
	t.Logf("figure: %s: %s and its Lease are gone, %s owns the VIP after %v", challenge, owner, next, ms(since))
	if challenge == "http-01" {
		w.answers(t, secret)
	}
	w.everywhere(t, second, w.Nodes[1:]...)
	t.Logf("figure: %s: a certificate that its orderer did not live to see is served after %v", challenge, ms(since))
	if n, err := w.orders(); err != nil || n == owner {
		t.Errorf("%v orders, %v", n, err)
	}
	if again := w.everywhere(t, first, w.Nodes[1:]...); !again.Equal(leaf) {
		t.Error("the first certificate was ordered twice")
	}
}

// owned waits until one of nodes owns the VIP.
func (w *world) owned(t *testing.T, nodes ...*edge.Node) (owner *edge.Node) {
	t.Helper()
	lab.Eventually(t, patience, "an owner", func() error {
		// One that was killed has the address still, and no cable.
		i := slices.IndexFunc(nodes, func(n *edge.Node) bool { return n.HasAddr("eth0", w.VIP()) })
		if i < 0 {
			return fmt.Errorf("none of %v owns the VIP", nodes)
		}
		owner = nodes[i]
		return nil
	})
	return owner
}

// ready waits until all proxies serve.
func (w *world) ready(t *testing.T) {
	t.Helper()
	for _, n := range w.Nodes {
		lab.Eventually(t, patience, n.Name()+" is ready", func() error {
			if s := n.Status(); s.Proxy == nil || !s.Proxy.L7.Ready {
				return fmt.Errorf("%+v", s.Proxy)
			}
			return nil
		})
	}
}

// everywhere waits until all nodes, and the VIP, show one certificate for host.
func (w *world) everywhere(t *testing.T, host string, nodes ...*edge.Node) (leaf *x509.Certificate) {
	t.Helper()
	addrs := []string{w.VIP()}
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
	}
	lab.Eventually(t, 2*patience, "certificates for "+host, func() error {
		leaf = nil
		for _, addr := range addrs {
			c, err := w.shows(addr, host)
			if err != nil {
				return fmt.Errorf("%s: %w", addr, err)
			}
			if leaf != nil && !leaf.Equal(c) {
				return fmt.Errorf("%s shows another one", addr)
			}
			leaf = c
		}
		return nil
	})
	return leaf
}

// answers checks that the VIP answers a challenge whose orderer is gone.
func (w *world) answers(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.VIP()+"/.well-known/acme-challenge/"+string(secret.Data["token"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = string(secret.Data["host"])
	resp, err := w.Client.HTTPClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != string(secret.Data["key-authorization"]) {
		t.Errorf("the VIP answers a challenge by %s %q, %v", resp.Status, text, err)
	}
}

func ms(since time.Time) time.Duration { return time.Since(since).Round(time.Millisecond) }
