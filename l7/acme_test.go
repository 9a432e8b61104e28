package l7_test

import (
	"crypto/tls"
	"errors"
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
			strangers(t, secure, "www.example.com")
		})
	}
}

// strangers get nothing from the challenge's protocol: no handshake without a
// challenge, and no request through it.
func strangers(t *testing.T, addr, host string) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr,
		&tls.Config{ServerName: host, NextProtos: []string{acme.Protocol}, InsecureSkipVerify: true})
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

// An edge answers a challenge that another one has stored. A CA's connection
// ends with its handshake, with the certificate that it asked for and no request
// served; a token that nobody knows goes by the routes.
func TestChallengeOfAnother(t *testing.T) {
	plain, secure, folder := freeAddr(t), freeAddr(t), t.TempDir()
	item := acme.Item{}
	for k, v := range map[string]string{
		"host": "www.example.com", "token": "Token_1", "key-authorization": "Token_1.print",
		"expires": time.Now().Add(time.Hour).Format(time.RFC3339),
	} {
		item[k] = []byte(v)
	}
	if err := acme.NewFiles(folder).Store(t.Context(), acme.Key{Kind: acme.ChallengeKind, Name: "one"}, item); err != nil {
		t.Fatal(err)
	}
	startL7(t, l7.Config{
		Entrypoints: []l7.Entrypoint{{Name: "http", Listen: plain}, {Name: "https", Listen: secure, TLS: &l7.TLS{}}},
		ACME:        &acme.Config{CA: "https://127.0.0.1:1/dir", Storage: acme.InFolder, Folder: folder},
	})
	conn, err := tls.Dial("tcp", secure, &tls.Config{ServerName: "www.example.com", NextProtos: []string{acme.Protocol}, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != acme.Protocol || !slices.Equal(state.PeerCertificates[0].DNSNames, []string{"www.example.com"}) {
		t.Errorf("shown for %s: %v", state.NegotiatedProtocol, state.PeerCertificates[0].DNSNames)
	}
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"))
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("behind the handshake came %q, %v", got, err)
	}
	strangers(t, secure, "other.example.com")

	for token, want := range map[string]string{"Token_1": "Token_1.print", "Token_2": ""} {
		resp, err := http.Get("http://" + plain + "/.well-known/acme-challenge/" + token)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || (resp.StatusCode == http.StatusOK) != (want != "") || want != "" && string(text) != want {
			t.Errorf("%s: %s %q, %v; want %q", token, resp.Status, text, err, want)
		}
	}
}
