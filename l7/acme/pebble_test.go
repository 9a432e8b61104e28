package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/test/pebble"
)

// An edge answers a CA from a Manager, as the proxy does.
type edge struct {
	*acme.Manager
	stop func()
}

// run runs a Manager until the test ends or stop is called.
func run(t *testing.T, c acme.Config, s acme.Storage, hosts ...string) *edge {
	t.Helper()
	m := acme.New(acme.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Config: c, Storage: s})
	m.Want(hosts)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	e := &edge{m, func() { cancel(); group.Wait() }}
	t.Cleanup(e.stop)
	return e
}

// await waits for certificates of all hosts.
func (e *edge) await(t *testing.T, n int) []acme.Pair {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if pairs := e.Pairs(); len(pairs) == n {
			return pairs
		}
		select {
		case <-e.Changed():
		case <-deadline:
			t.Fatalf("have certificates of %v, want %d; faults: %v", e.Pairs(), n, e.Faults())
		}
	}
}

// A door is where the CA comes to; who answers it may change.
type door struct {
	http, https *httptest.Server
	mu          sync.Mutex
	edge        *edge
	asked       map[string]int // by challenge
}

func newDoor(t *testing.T) *door {
	d := &door{asked: map[string]int{}}
	d.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := d.count(acme.HTTP01)
		token, _ := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		answer, ok := e.KeyAuthorization(token)
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	d.https = httptest.NewUnstartedServer(nil)
	d.https.TLS = &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return d.count(acme.TLSALPN01).Proof(h.ServerName)
	}}
	d.https.StartTLS()
	d.https.TLS.Certificates = nil
	t.Cleanup(d.http.Close)
	t.Cleanup(d.https.Close)
	return d
}

func (d *door) count(challenge string) *edge {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[challenge]++
	return d.edge
}

func (d *door) lead(e *edge) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.edge = e
}

func (d *door) times(challenge string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[challenge]
}

func port(s *httptest.Server) uint16 { return s.Listener.Addr().(*net.TCPAddr).AddrPort().Port() }

// start starts a CA that comes to d.
func (d *door) start(t *testing.T) (*pebble.CA, acme.Config) { return d.startWith(t, 0) }

// startWith starts one whose certificates live so long.
func (d *door) startWith(t *testing.T, lifetime time.Duration) (*pebble.CA, acme.Config) {
	ca := pebble.Start(t, pebble.Options{HTTP: port(d.http), TLS: port(d.https), Lifetime: lifetime})
	ca.Await(t, ca.Client(nil))
	return ca, acme.Config{
		Email: "ops@example.com", CA: ca.Directory, Roots: ca.Roots,
		Challenges: []string{acme.HTTP01, acme.TLSALPN01}, KeyType: "p256",
	}
}

// Each challenge alone gets a certificate that the CA's root vouches for, the
// account is made once, and what was needed on the way is gone afterwards.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{acme.HTTP01, acme.TLSALPN01} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			ca, c := d.start(t)
			c.Challenges = []string{challenge}
			storage := acme.NewFiles(t.TempDir())
			e := run(t, c, storage, "www.example.com", "api.example.com")
			d.lead(e)
			for _, p := range e.await(t, 2) {
				verify(t, p, ca.Issuers(t, ca.Client(nil)))
			}
			if n := d.times(challenge); n < 2 {
				t.Errorf("the CA came %d times, want one for each host at least", n)
			}
			counts := map[acme.Kind]int{}
			for key := range storage.Items() {
				counts[key.Kind]++
			}
			if counts[acme.AccountKind] != 1 || counts[acme.ChallengeKind] != 0 {
				t.Errorf("stored: %v, want one account and no challenge", counts)
			}
		})
	}
}

func verify(t *testing.T, p acme.Pair, roots *x509.CertPool) {
	t.Helper()
	pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: p.Host, Roots: roots, Intermediates: between}); err != nil {
		t.Error(err)
	}
}

// One edge of two that share a folder orders; the other one answers the CA and
// serves the certificate. When the first one ends the other takes its place.
func TestShared(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, c := d.start(t)
	dir := t.TempDir()
	first := run(t, c, acme.NewFiles(dir), "www.example.com")
	first.orders(t)
	storage := acme.NewFiles(dir)
	second := run(t, c, storage, "www.example.com")
	d.lead(second)
	a, b := first.await(t, 1), second.await(t, 1)
	if string(a[0].CertPEM) != string(b[0].CertPEM) {
		t.Error("the edges have different certificates")
	}
	first.stop()
	second.orders(t)
	second.Want([]string{"www.example.com", "new.example.com"})
	second.await(t, 2)
}

// orders waits until e is the one that orders.
func (e *edge) orders(t *testing.T) {
	t.Helper()
	for e.Status().Storage.Orders == "" {
		select {
		case <-t.Context().Done():
			t.Fatal("nobody orders")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A host that fails holds up no other one, and says why.
func TestRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, c := d.start(t)
	e := run(t, c, acme.NewFiles(t.TempDir()), pebble.Blocked, "under_score.example.com", "www.example.com")
	d.lead(e)
	e.await(t, 1)
	for e.Faults()["under_score.example.com"] == "" || e.Faults()[pebble.Blocked] == "" {
		<-e.Changed()
	}
}

// A certificate is renewed before it expires, by one edge, and never away.
func TestRenewal(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, c := d.startWith(t, 16*time.Second)
	dir := t.TempDir()
	first := run(t, c, acme.NewFiles(dir), "www.example.com")
	first.orders(t)
	second := run(t, c, acme.NewFiles(dir), "www.example.com")
	d.lead(second)
	pair := second.await(t, 1)[0]
	expires := leafOf(t, pair).NotAfter
	for next := pair; string(next.CertPEM) == string(pair.CertPEM); {
		select {
		case <-second.Changed():
		case <-time.After(time.Until(expires)):
			t.Fatalf("the certificate has expired: %v", first.Status())
		}
		pairs := second.Pairs()
		if len(pairs) != 1 {
			t.Fatal("no certificate between two")
		}
		next = pairs[0]
	}
	t.Logf("renewed %v before the end of 16s", time.Until(expires).Round(time.Second))
	if n := len(first.Faults()) + len(second.Faults()); n > 0 {
		t.Errorf("faults: %v, %v", first.Faults(), second.Faults())
	}
}

func leafOf(t *testing.T, p acme.Pair) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}
