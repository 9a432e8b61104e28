package apiserver

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/lab"
)

// withheld shows that an Ingress gets its address once its certificate is live, and
// takes the Secret away again. What it returns shows that the address stayed.
func withheld(t *testing.T, c *cluster.Cluster) (stays func()) {
	t.Helper()
	ingresses, secrets := c.Client().NetworkingV1().Ingresses("default"), c.Client().CoreV1().Secrets("default")
	sealed := ingress("sealed", "sealed.example", "web")
	sealed.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port = netv1.ServiceBackendPort{Number: 80}
	sealed.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{"sealed.example"}, SecretName: "sealed"}}
	if _, err := ingresses.Create(t.Context(), sealed, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	addresses := func() int {
		t.Helper()
		in, err := ingresses.Get(t.Context(), "sealed", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(in.Status.LoadBalancer.Ingress)
	}
	lab.Eventually(t, patience, "an Event", func() error {
		all, err := c.Client().EventsV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range all.Items {
			if e.Regarding.Name == "sealed" && e.Reason == "Problem" && strings.Contains(e.Note, "gets no address of ours yet") {
				return nil
			}
		}
		return fmt.Errorf("%d others", len(all.Items))
	})
	if n := addresses(); n != 0 {
		t.Errorf("without its certificate it has %d addresses", n)
	}
	if _, err := secrets.Create(t.Context(), pair(t, "sealed"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, patience, "an address", func() error {
		if n := addresses(); n != 1 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if err := secrets.Delete(t.Context(), "sealed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if n := addresses(); n != 1 {
			t.Errorf("without its Secret it has %d addresses, and had one", n)
		}
	}
}

// pair is a Secret with a certificate, that of httptest.
func pair(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	own := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		},
	}
}
