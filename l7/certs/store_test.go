package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/certs"
)

// pair makes a pair whose certificate has name as its common name.
func pair(t *testing.T, name string, sans []string, hosts ...string) certs.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     sans,
		NotAfter:     time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
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
		Name:    name,
		Hosts:   hosts,
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// shown returns the common name of what a client that asks for name sees.
func shown(t *testing.T, s *certs.Store, name string) string {
	t.Helper()
	c, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.Subject.CommonName
}

const fallback = "portico default certificate"

func TestNames(t *testing.T) {
	s := certs.New()
	if errs := s.Set([]certs.Pair{
		pair(t, "exact", nil, "a.example"),
		pair(t, "wild", nil, "*.example", "*.sub.example"),
		pair(t, "sans", []string{"San.Test", "*.san.test"}),
		pair(t, "late", nil, "a.example", "only-late.test"),
	}); errs != nil {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{
		"a.example":      "exact",
		"A.Example.":     "exact",
		"b.example":      "wild",
		"b.sub.example":  "wild",
		"c.b.example":    fallback,
		"example":        fallback,
		"san.test":       "sans",
		"x.san.test":     "sans",
		"only-late.test": "late",
		"other.test":     fallback,
		"*.other":        fallback,
		"":               fallback,
	} {
		if got := shown(t, s, name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	var hosts [][]string
	for _, c := range s.Status() {
		hosts = append(hosts, append([]string{c.Name}, c.Hosts...))
	}
	want := [][]string{{"exact", "a.example"}, {"wild", "*.example", "*.sub.example"}, {"sans", "san.test", "*.san.test"}, {"late", "only-late.test"}}
	if d := cmp.Diff(want, hosts); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
}

func TestDefault(t *testing.T) {
	s := certs.New()
	if got := shown(t, s, "a.example"); got != fallback {
		t.Fatalf("before the first Set: %q", got)
	}
	file, second := pair(t, "file", nil, "f.example"), pair(t, "second", nil, "g.example")
	file.Default, second.Default = true, true
	s.Set([]certs.Pair{pair(t, "secret", nil, "a.example"), file, second})
	if got := shown(t, s, "other.test"); got != "file" {
		t.Fatalf("got %q", got)
	}
}

func TestBrokenPairKeepsThePrevious(t *testing.T) {
	s := certs.New()
	a, b := pair(t, "ns/a", nil, "a.example"), pair(t, "ns/b", nil, "b.example")
	never := certs.Pair{Name: "ns/never", Hosts: []string{"never.example"}, CertPEM: []byte("junk")}
	if errs := s.Set([]certs.Pair{a, never, b}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "certificate ns/never: ") {
		t.Fatal(errs)
	}
	if got := shown(t, s, "never.example"); got != fallback {
		t.Fatalf("got %q", got)
	}
	broken := a
	broken.KeyPEM, broken.Hosts = b.KeyPEM, []string{"a.example", "new.example"}
	for range 2 { // it stays broken, and stays served
		if errs := s.Set([]certs.Pair{broken, b}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "the one before stays") {
			t.Fatal(errs)
		}
		for name, want := range map[string]string{"a.example": "ns/a", "new.example": "ns/a", "b.example": "ns/b"} {
			if got := shown(t, s, name); got != want {
				t.Fatalf("%s: got %q", name, got)
			}
		}
		if st := s.Status()[0]; st.Err == "" || !st.NotAfter.Equal(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("%+v", st)
		}
	}
	s.Set([]certs.Pair{b})
	if errs := s.Set([]certs.Pair{broken, b}); len(errs) != 1 {
		t.Fatal(errs)
	}
	if got := shown(t, s, "a.example"); got != fallback {
		t.Fatalf("a pair that was taken away came back: %q", got)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	p := pair(t, "ns/a", nil, "a.example")
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", []certs.Pair{p}), string(encoded)} {
		if strings.Contains(text, "PRIVATE") || len(text) > 20 {
			t.Errorf("printed as %s", text)
		}
	}
}

func TestHandshake(t *testing.T) {
	s := certs.New()
	s.Set([]certs.Pair{pair(t, "ns/a", nil, "a.example")})
	for name, want := range map[string]string{"a.example": "ns/a", "b.example": fallback} {
		client, server := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- tls.Server(server, &tls.Config{GetCertificate: s.GetCertificate}).Handshake() }()
		c := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		client.Close()
		server.Close()
	}
}
