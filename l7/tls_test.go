package l7_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/certs"
)

// certificate makes one for name that signs itself.
func certificate(t *testing.T, name string) certs.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certs.Pair{
		Name: name, Default: true,
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// freeAddr returns an address of the loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runL7 runs c until the test ends and returns the function that reloads it.
func runL7(t *testing.T, c l7.Config) (reload func(l7.Config)) {
	t.Helper()
	p := startL7(t, c)
	return func(c l7.Config) {
		commit, err := p.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		commit()
	}
}

// startL7 runs c until the test ends.
func startL7(t *testing.T, c l7.Config) *l7.L7 {
	t.Helper()
	p := l7.New(l7.Options{Log: slog.New(slog.DiscardHandler), Config: c})
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- p.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return p
}

// get asks for a page over TLS, and returns how the connection came about.
func get(addr string, c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")); err != nil {
		return tls.ConnectionState{}, err
	}
	_, err = conn.Read(make([]byte, 1))
	return conn.ConnectionState(), err
}

func TestTLSOfAnEntrypoint(t *testing.T) {
	server, client, stranger := certificate(t, "a.example"), certificate(t, "client"), certificate(t, "stranger")
	shown := func(p certs.Pair) []tls.Certificate { return []tls.Certificate{keyPair(t, p)} }
	const gcm, cbc = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	for _, c := range []struct {
		name   string
		entry  l7.TLS
		client *tls.Config
		want   bool
		alert  string // told to one who gets no answer, where it matters
	}{
		{name: "plain", client: &tls.Config{ServerName: "a.example"}, want: true},
		{name: "too old a version", entry: l7.TLS{MinVersion: tls.VersionTLS13}, client: &tls.Config{MaxVersion: tls.VersionTLS12}},
		{name: "cipher suite", entry: l7.TLS{CipherSuites: []uint16{gcm}}, client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{gcm}}, want: true},
		{name: "other cipher suite", entry: l7.TLS{CipherSuites: []uint16{gcm}}, client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{cbc}}},
		{name: "unknown name", client: &tls.Config{ServerName: "b.example"}, want: true},
		{name: "unknown name, strictly", entry: l7.TLS{StrictSNI: true}, client: &tls.Config{ServerName: "b.example"}, alert: "unrecognized name"},
		{name: "known name, strictly", entry: l7.TLS{StrictSNI: true}, client: &tls.Config{ServerName: "a.example"}, want: true},
		{name: "client certificate missing", entry: l7.TLS{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: client.CertPEM}},
		{name: "client certificate", entry: l7.TLS{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: client.CertPEM}, client: &tls.Config{Certificates: shown(client)}, want: true},
		{name: "client certificate of another", entry: l7.TLS{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: client.CertPEM}, client: &tls.Config{Certificates: shown(stranger)}},
		{name: "optional client certificate missing", entry: l7.TLS{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: client.CertPEM}, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := freeAddr(t)
			c.entry.Certificates = []certs.Pair{server}
			runL7(t, l7.Config{Entrypoints: []l7.Entrypoint{{Name: "https", Listen: addr, TLS: &c.entry}}})
			client := cmp.Or(c.client, &tls.Config{})
			client.InsecureSkipVerify = true
			_, err := get(addr, client)
			if (err == nil) != c.want || !c.want && !strings.Contains(err.Error(), c.alert) {
				t.Errorf("a client gets %v, want an answer: %v %s", err, c.want, c.alert)
			}
		})
	}
}

// Sessions outlive a reload, a restart and a change of edge, and those that
// were begun without a certificate open no door that asks for one.
func TestSessionIsResumedElsewhere(t *testing.T) {
	server := certificate(t, "a.example")
	open := l7.TLS{Certificates: []certs.Pair{server}}
	closed := l7.TLS{Certificates: []certs.Pair{server}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: server.CertPEM}
	first, second, third := freeAddr(t), freeAddr(t), freeAddr(t)
	config := l7.Config{Entrypoints: []l7.Entrypoint{{Name: "https", Listen: first, TLS: &open}}}
	reload := runL7(t, config)
	runL7(t, l7.Config{Entrypoints: []l7.Entrypoint{{Name: "https", Listen: second, TLS: &open}, {Name: "clients", Listen: third, TLS: &closed}}})

	client := &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	resumed := func(addr string) bool {
		t.Helper()
		s, err := get(addr, client)
		if err != nil {
			t.Fatal(err)
		}
		return s.DidResume
	}
	if resumed(first) {
		t.Error("the first session is resumed")
	}
	if !resumed(second) {
		t.Error("not resumed at another edge")
	}
	reload(config)
	if !resumed(first) {
		t.Error("not resumed after a reload")
	}
	if resumed(third) {
		t.Error("resumed where certificates are asked for")
	}
}
