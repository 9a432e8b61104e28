package acme_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/test/cluster"
)

// allowed applies the manifests that the package ships and returns a client that
// may do what they say.
func allowed(t *testing.T, c *cluster.Cluster) kubernetes.Interface {
	t.Helper()
	for _, name := range []string{"rbac.yaml", "acme.yaml"} {
		text, err := os.ReadFile("../../packaging/kubernetes/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Apply(t.Context(), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	token, err := c.Token(t.Context(), "portico", "portico")
	if err != nil {
		t.Fatal(err)
	}
	return kubernetes.NewForConfigOrDie(&rest.Config{Host: c.URL(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile()}})
}

func secrets(t *testing.T, client kubernetes.Interface, name, copied string) *acme.Secrets {
	return acme.NewSecrets(acme.SecretsOptions{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Client: client, End: func() {},
		Namespace: "portico", Identity: name, Copy: copied,
	})
}

// Three edges share Secrets, with the rights that are shipped: the one that has
// the Lease orders, the others answer the CA. When it stops another one orders,
// and an edge that finds no API server serves its copy.
func TestSecrets(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	client := allowed(t, c)
	d := newDoor(t)
	ca, config := d.start(t)
	var edges []*edge
	copies := make([]string, 3)
	for i := range copies {
		copies[i] = t.TempDir()
		edges = append(edges, run(t, config, secrets(t, client, fmt.Sprintf("edge-%d", i), copies[i]), "www.example.com"))
		if i == 0 {
			edges[0].orders(t)
			d.lead(edges[0])
		}
	}
	d.lead(edges[2])
	pairs := edges[1].await(t, 1)
	verify(t, pairs[0], ca.Issuers(t, ca.Client(nil)))

	secret, err := c.Client().CoreV1().Secrets("portico").Get(t.Context(), "portico-acme-certificate-www.example.com", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if secret.Type != corev1.SecretTypeTLS {
		t.Errorf("the Secret is of type %s", secret.Type)
	}

	began := time.Now()
	edges[0].stop()
	for _, e := range edges[1:] {
		e.Want([]string{"www.example.com", "api.example.com"})
	}
	edges[1].await(t, 2)
	edges[2].await(t, 2)
	t.Logf("another edge had the next certificate after %v", time.Since(began))
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("another edge had the next certificate after %v: the Lease was not released", took)
	}

	edges[2].stop()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	alone := run(t, config, secrets(t, client, "edge-2", copies[2]), "www.example.com", "api.example.com")
	alone.await(t, 2)
	for !strings.Contains(alone.Status().Storage.Err, "refused") {
		select {
		case <-t.Context().Done():
			t.Fatalf("status: %+v", alone.Status().Storage)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
