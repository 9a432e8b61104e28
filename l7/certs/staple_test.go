package certs

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

// An authority signs certificates that name a responder.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, der := sign(t, authority{}, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of the test"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

// sign makes a certificate; one of the zero authority signs itself.
func sign(t *testing.T, a authority, template *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

// pair makes a certificate for www.example.com with serial 2 and its chain.
func (a authority) pair(t *testing.T, responder string) Pair {
	t.Helper()
	key, der := sign(t, a, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"www.example.com"}, OCSPServer: []string{responder},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := append(pemOf("CERTIFICATE", der), pemOf("CERTIFICATE", a.certificate.Raw)...)
	return Pair{Name: "web", CertPEM: chain, KeyPEM: pemOf("PRIVATE KEY", keyDER)}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// says makes a response.
func (a authority) says(t *testing.T, r ocsp.Response, key crypto.Signer) []byte {
	t.Helper()
	if r.SerialNumber == nil {
		r.SerialNumber = big.NewInt(2)
	}
	raw, err := ocsp.CreateResponse(a.certificate, a.certificate, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func stored(t *testing.T, p Pair) *Store {
	t.Helper()
	s := New()
	if errs := s.Set([]Pair{p}); errs != nil {
		t.Fatal(errs)
	}
	return s
}

// shown is the response that a client is shown.
func shown(t *testing.T, s *Store) []byte {
	t.Helper()
	c, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: "www.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return c.OCSPStaple
}

func TestJudge(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	e := stored(t, a.pair(t, "http://ocsp.example.com")).table.Load().entries[0]
	now := time.Now().Truncate(time.Second)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for _, c := range []struct {
		name     string
		response ocsp.Response
		key      crypto.Signer
		next     time.Duration
		err      string
	}{
		{name: "half of its life", response: ocsp.Response{ThisUpdate: at(-time.Hour), NextUpdate: at(5 * time.Hour)}, next: 2 * time.Hour},
		{name: "from a cache", response: ocsp.Response{ThisUpdate: at(-5 * time.Hour), NextUpdate: at(time.Hour)}, next: 30 * time.Minute},
		{name: "short", response: ocsp.Response{ThisUpdate: at(0), NextUpdate: at(time.Minute)}, next: againLeast},
		{name: "stale", response: ocsp.Response{ThisUpdate: at(-2 * time.Hour), NextUpdate: at(0)}, err: "held until"},
		{name: "not yet", response: ocsp.Response{ThisUpdate: at(time.Hour), NextUpdate: at(2 * time.Hour)}, err: "clocks differ"},
		{name: "for ever", response: ocsp.Response{ThisUpdate: at(0)}, err: "does not say until when"},
		{name: "revoked", response: ocsp.Response{Status: ocsp.Revoked, RevokedAt: at(0), ThisUpdate: at(0), NextUpdate: at(time.Hour)}, err: "revoked"},
		{name: "unknown", response: ocsp.Response{Status: ocsp.Unknown, ThisUpdate: at(0), NextUpdate: at(time.Hour)}, err: "does not know"},
		{name: "of another one", response: ocsp.Response{SerialNumber: big.NewInt(3), ThisUpdate: at(0), NextUpdate: at(time.Hour)}, err: "no response matching"},
		{name: "signed by another one", response: ocsp.Response{ThisUpdate: at(0), NextUpdate: at(time.Hour)}, key: other.key, err: "bad OCSP signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := c.key
			if key == nil {
				key = a.key
			}
			until, next, err := judge(a.says(t, c.response, key), e, now)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !until.Equal(c.response.NextUpdate) || !next.Equal(now.Add(c.next)) {
				t.Errorf("until %v, next in %v, %v; want until %v, next in %v", until, next.Sub(now), err, c.response.NextUpdate, c.next)
			}
		})
	}
}

// A scripted responder answers with what it is told to.
type scripted struct {
	mu     sync.Mutex
	asked  int
	answer func() (*http.Response, error)
}

func (s *scripted) RoundTrip(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.answer()
}

func (s *scripted) set(f func() (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *scripted) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func answer(raw []byte) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(raw))}, nil
	}
}

// endless is a body that would fill the memory.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func broken() (*http.Response, error) { return nil, errors.New("nobody there") }

// A staple is renewed at half of its life, outlives a responder that is away
// for as long as it holds and no longer, and goes at once when the certificate
// is revoked. A response without end is none.
func TestStapler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		good := func() []byte {
			now := time.Now()
			return a.says(t, ocsp.Response{ThisUpdate: now, NextUpdate: now.Add(4 * time.Hour)}, a.key)
		}
		s := stored(t, a.pair(t, "http://ocsp.example.com"))
		responder := &scripted{answer: broken}
		stapler := NewStapler(s, &http.Client{Transport: responder}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { stapler.Run(ctx) })
		synctest.Wait()
		if shown(t, s) != nil {
			t.Error("a staple out of nothing")
		}
		first := good()
		responder.set(answer(first))
		time.Sleep(againLeast + time.Second)
		if !bytes.Equal(shown(t, s), first) {
			t.Fatal("no staple a minute after a failure")
		}
		if s.Status()[0].Stapled.IsZero() {
			t.Error("the status does not show the staple")
		}
		time.Sleep(time.Hour)
		before := responder.times()
		responder.set(broken)
		time.Sleep(time.Hour + 30*time.Minute)
		if n := responder.times() - before; n < 2 || n > 8 {
			t.Errorf("asked %d times in the half hour behind the middle of a life, want a few", n)
		}
		if !bytes.Equal(shown(t, s), first) {
			t.Error("the staple went with the responder, though it holds")
		}
		time.Sleep(90 * time.Minute)
		if shown(t, s) != nil {
			t.Error("a stale staple is shown")
		}
		responder.set(func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil
		})
		time.Sleep(2 * againMost)
		if shown(t, s) != nil {
			t.Error("a response without end is shown")
		}
		second := good()
		responder.set(answer(second))
		time.Sleep(againMost + time.Second)
		if !bytes.Equal(shown(t, s), second) {
			t.Fatal("no staple after the responder came back")
		}
		now := time.Now()
		responder.set(answer(a.says(t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: now, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, a.key)))
		time.Sleep(2*time.Hour + time.Second)
		if shown(t, s) != nil {
			t.Error("the staple of a revoked certificate is shown")
		}
		cancel()
		group.Wait()
	})
}

// The client for responders reaches nothing of this machine.
func TestResponderClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, to := range []string{l.Addr().String(), "169.254.169.254", "[::1]:80", "[::ffff:127.0.0.1]:80", "[fe80::1]:80", "0.0.0.0:80"} {
		_, err := ResponderClient().Get("http://" + to)
		if err == nil || !strings.Contains(err.Error(), "no place for a responder") {
			t.Errorf("%s: %v, want it refused", to, err)
		}
	}
}

// openssl's responder is understood, and what it says reaches a client.
func TestStapleOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	a := newAuthority(t)
	keyDER, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"ca.pem":    pemOf("CERTIFICATE", a.certificate.Raw),
		"ca.key":    pemOf("PRIVATE KEY", keyDER),
		"index.txt": fmt.Appendf(nil, "V\t%s\t\t02\tunknown\t/CN=www.example.com\n", time.Now().AddDate(1, 0, 0).UTC().Format("060102150405Z")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key", "-port", fmt.Sprint(port), "-nmin", "10")
	cmd.Dir = dir
	says, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	// One connection at a time is all it takes: none may be wasted on a look.
	if line, err := bufio.NewReader(says).ReadString('\n'); !strings.HasPrefix(line, "ACCEPT") {
		t.Fatalf("openssl says %q, %v", line, err)
	}

	s := stored(t, a.pair(t, "http://"+l.Addr().String()))
	stapler := NewStapler(s, http.DefaultClient, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if next := stapler.round(t.Context(), time.Now()); time.Until(next) > 6*time.Minute {
		t.Errorf("the next round is in %v, want half of ten minutes", time.Until(next))
	}
	client, server := net.Pipe()
	defer client.Close()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		defer server.Close()
		tls.Server(server, &tls.Config{GetCertificate: s.GetCertificate}).Handshake()
	})
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	conn := tls.Client(client, &tls.Config{ServerName: "www.example.com", RootCAs: roots})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	state := conn.ConnectionState()
	r, err := ocsp.ParseResponseForCert(state.OCSPResponse, state.PeerCertificates[0], a.certificate)
	if err != nil || r.Status != ocsp.Good {
		t.Errorf("the client is shown %v, %v", r, err)
	}
}
