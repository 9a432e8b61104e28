package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/edge"
)

// hostile is the name of an object that is written to become markup. A folder
// of manifests may hold what an API server would refuse.
const hostile = `<img src=x onerror=document.title='owned'>`

// manifests are routes of every kind that the page shows: some hosts, a
// certificate that lasts and one that is about to expire, an object that is
// hostile, and one that is at fault.
func manifests(now time.Time) (map[string]string, error) {
	m := map[string]string{
		"ingress.yaml": edge.DefaultIngress,
		"api.yaml":     ingress("api", "api.example.test", "/v1", "api", "api-tls"),
		"admin.yaml":   ingress("admin", "admin.example.test", "/", "web", "admin-tls"),
		"hostile.yaml": ingress(hostile, "hostile.example.test", "/", "web", ""),
		"faulty.yaml":  ingress("faulty", "faulty.example.test", "/"+hostile, "web", ""),
		"missing.yaml": ingress("missing", "missing.example.test", "/", "nowhere", ""),
	}
	var many strings.Builder
	for i := range 60 {
		fmt.Fprintf(&many, "---\n%s", ingress(fmt.Sprintf("tenant-%02d", i), fmt.Sprintf("tenant-%02d.example.test", i), "/", "web", ""))
	}
	m["tenants.yaml"] = many.String()
	for name, days := range map[string]int{"api": 80, "admin": 5} {
		secret, err := secret(name+"-tls", name+".example.test", now, now.AddDate(0, 0, days))
		if err != nil {
			return nil, err
		}
		m[name+"-tls.yaml"] = secret
	}
	return m, nil
}

func ingress(name, host, path, service, secret string) string {
	tls := ""
	if secret != "" {
		tls = fmt.Sprintf("  tls: [{hosts: [%s], secretName: %s}]\n", host, secret)
	}
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %q, namespace: default}
spec:
  ingressClassName: portico
%s  rules:
  - host: %s
    http:
      paths:
      - path: %q
        pathType: Prefix
        backend: {service: {name: %s, port: {number: 80}}}
`, name, tls, host, path, service)
}

// secret is a Secret with a certificate of its own for one host.
func secret(name, host string, from, until time.Time) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    from.Add(-time.Hour),
		NotAfter:     until,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	encode := func(kind string, b []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: default}
type: kubernetes.io/tls
data:
  tls.crt: %s
  tls.key: %s
`, name, encode("CERTIFICATE", cert), encode("PRIVATE KEY", der)), nil
}
