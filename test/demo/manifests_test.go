package main

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// TestManifests reads them as strictly as an API server does, and checks that
// each Service of the Ingress is there, with Pods.
func TestManifests(t *testing.T) {
	files, err := fs.Glob(manifests, "manifests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	services, slices := map[string]corev1.Service{}, map[string]discoveryv1.EndpointSlice{}
	for _, file := range files {
		text, err := manifests.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(text), "\n---\n") {
			var kind struct{ Kind string }
			var ingress netv1.Ingress
			var service corev1.Service
			var slice discoveryv1.EndpointSlice
			err := yaml.Unmarshal([]byte(doc), &kind)
			switch kind.Kind {
			case "Ingress":
				err = yaml.UnmarshalStrict([]byte(doc), &ingress)
				wanted = append(wanted, backends(ingress)...)
			case "Service":
				err = yaml.UnmarshalStrict([]byte(doc), &service)
				services[service.Name] = service
			case "EndpointSlice":
				err = yaml.UnmarshalStrict([]byte(doc), &slice)
				slices[slice.Labels[discoveryv1.LabelServiceName]] = slice
			default:
				t.Errorf("%s: a %s", file, kind.Kind)
			}
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if len(wanted) != 3 {
		t.Errorf("the Ingress names %v", wanted)
	}
	for _, name := range wanted {
		if _, ok := services[name]; !ok || len(slices[name].Endpoints) < 2 {
			t.Errorf("Service %s: there %v, with %d Pods", name, ok, len(slices[name].Endpoints))
		}
	}
}

func backends(i netv1.Ingress) (names []string) {
	for _, rule := range i.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			names = append(names, path.Backend.Service.Name)
		}
	}
	return names
}

func TestSecret(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := ca.secret("shop-tls", "shop.example.test")
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict([]byte(text), &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Type != corev1.SecretTypeTLS || secret.Name != "shop-tls" {
		t.Errorf("%s %s", secret.Type, secret.Name)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.pem()) {
		t.Fatal("no authority in its own PEM")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "shop.example.test", CurrentTime: now}); err != nil {
		t.Error(err)
	}
	if !slices.Equal(pair.Leaf.DNSNames, []string{"shop.example.test"}) {
		t.Errorf("names %v", pair.Leaf.DNSNames)
	}
}
