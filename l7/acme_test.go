package l7_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/pebble"
)

const ingressWithoutSecret = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  ingressClassName: portico
  tls:
  - hosts: [www.example.com, "*.example.com", own.example.net]
  rules:
  - host: www.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`

func portOf(addr string) uint16 { return netip.MustParseAddrPort(addr).Port() }

// A host whose Ingress names no Secret gets a certificate, by either challenge,
// also where the entrypoint asks clients for certificates and for known names;
// one that a file names does not, nor does a wildcard, which is told.
func TestACME(t *testing.T) {
	for _, challenge := range []string{acme.HTTP01, acme.TLSALPN01} {
		t.Run(challenge, func(t *testing.T) {
			plain, secure := freeAddr(t), freeAddr(t)
			ca := pebble.Start(t, pebble.Options{HTTP: portOf(plain), TLS: portOf(secure)})
			ca.Await(t, ca.Client(nil))
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(ingressWithoutSecret), 0o600); err != nil {
				t.Fatal(err)
			}
			own := certificate(t, "own.example.net")
			p := startL7(t, l7.Config{
				Entrypoints: []l7.Entrypoint{
					{Name: "http", Listen: plain},
					{Name: "https", Listen: secure, TLS: &l7.TLS{
						Certificates: []certs.Pair{own}, StrictSNI: true,
						ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: own.CertPEM,
					}},
				},
				Kubernetes: l7.Kubernetes{Manifests: dir, IngressClass: "portico"},
				ACME: &acme.Config{
					CA: ca.Directory, Roots: ca.Roots, Storage: acme.InFolder, Folder: t.TempDir(),
					Challenges: []string{challenge},
				},
			})
			roots := ca.Issuers(t, ca.Client(nil))
			client := &tls.Config{ServerName: "www.example.com", RootCAs: roots, Certificates: []tls.Certificate{keyPair(t, own)}}
			deadline := time.Now().Add(20 * time.Second)
			for _, err := get(secure, client); err != nil; _, err = get(secure, client) {
				if time.Now().After(deadline) {
					t.Fatalf("%v; %+v", err, p.Status().ACME)
				}
				time.Sleep(50 * time.Millisecond)
			}
			s := p.Status()
			if len(s.ACME.Hosts) != 1 {
				t.Errorf("ordered are %+v, want www.example.com alone", s.ACME.Hosts)
			}
			told := slices.ContainsFunc(s.Problems, func(p kube.Problem) bool {
				return p.Field == "spec.tls[0].hosts[1]" && strings.Contains(p.Text, "DNS provider")
			})
			if !told {
				t.Errorf("problems: %v, want the wildcard's among them", s.Problems)
			}
			strangers(t, secure)
		})
	}
}

// strangers get nothing from the challenge's protocol: no handshake without a
// challenge, and no request through it.
func strangers(t *testing.T, addr string) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr,
		&tls.Config{ServerName: "www.example.com", NextProtos: []string{acme.Protocol}, InsecureSkipVerify: true})
	if err == nil {
		conn.Close()
		t.Error("a handshake for a challenge that nobody has begun succeeds")
	}
}

func keyPair(t *testing.T, p certs.Pair) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
