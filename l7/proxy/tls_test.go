package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

// certificate returns what a server and a client of it need.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "example.com"},
		DNSNames:     []string{"example.com"},
		IPAddresses:  []net.IP{{127, 0, 0, 1}},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"http/1.1"},
	}
	return server, &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"http/1.1"}}
}

func TestTLS(t *testing.T) {
	ep := heads(t)
	server, config := certificate(t)
	e := start(t, proxy.Options{}, proxy.Entrypoint{TLS: server}, ep)
	c, err := tls.Dial("tcp", e.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("protocol %q", p)
	}
	r, err := http.NewRequest("GET", "https://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := client(t, config)
	r.URL.Host = e.addr
	resp, err := tr.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := new(strings.Builder)
	resp.Write(b)
	for _, want := range []string{"X-Forwarded-Proto: https\r\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in %q", want, b)
		}
	}
}

func TestPlainToTLS(t *testing.T) {
	server, _ := certificate(t)
	e := start(t, proxy.Options{}, proxy.Entrypoint{TLS: server})
	if s := e.dial(t).say(getRoot).rest(); !strings.HasPrefix(s, "HTTP/1.1 400 ") || !strings.Contains(s, "HTTPS") {
		t.Errorf("got %q", s)
	}
}
