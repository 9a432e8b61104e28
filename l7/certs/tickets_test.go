package certs_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/certs"
)

// An edge is one TLS server among several.
func edge(s *certs.Store, secret []byte, scope string, now func() time.Time) *tls.Config {
	c := &tls.Config{GetCertificate: s.GetCertificate}
	tickets := certs.NewTickets(s, now)
	tickets.Share(secret)
	tickets.Bind(c, scope)
	return c
}

// resumes reports whether a session is resumed in which client comes back.
func resumes(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		c := tls.Server(raw, server)
		if c.Handshake() == nil {
			c.Write([]byte{0}) // behind the tickets
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().DidResume
}

func TestTicketsAmongEdges(t *testing.T) {
	pairs := []certs.Pair{pair(t, "ns/a", nil, "a.example"), pair(t, "ns/b", nil, "b.example")}
	store := func() *certs.Store {
		s := certs.New()
		s.Set(pairs)
		return s
	}
	at := func(d time.Duration) func() time.Time {
		return func() time.Time { return time.Unix(0, 0).Add(100*certs.TicketPeriod + d) }
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	for _, c := range []struct {
		name          string
		first, second *tls.Config
		version       uint16
		host          string // of the second connection
		want          bool
	}{
		{name: "no secret", first: edge(store(), nil, "https", at(0)), second: edge(store(), nil, "https", at(0)), want: true},
		{name: "no secret, TLS 1.2", first: edge(store(), nil, "https", at(0)), second: edge(store(), nil, "https", at(0)), version: tls.VersionTLS12},
		{name: "secret, TLS 1.2", first: edge(store(), secret, "https", at(0)), second: edge(store(), secret, "https", at(0)), version: tls.VersionTLS12, want: true},
		{name: "other secret", first: edge(store(), secret, "https", at(0)), second: edge(store(), secret[1:], "https", at(0))},
		{name: "other scope", first: edge(store(), secret, "https", at(0)), second: edge(store(), secret, "clients", at(0))},
		{name: "other host", first: edge(store(), secret, "https", at(0)), second: edge(store(), secret, "https", at(0)), host: "b.example"},
		{name: "next period", first: edge(store(), nil, "https", at(0)), second: edge(store(), nil, "https", at(certs.TicketPeriod)), want: true},
		{name: "clock behind", first: edge(store(), nil, "https", at(0)), second: edge(store(), nil, "https", at(-time.Second)), want: true},
		{name: "too old", first: edge(store(), nil, "https", at(0)), second: edge(store(), nil, "https", at(2*certs.TicketPeriod))},
		{name: "no certificate", first: edge(certs.New(), nil, "https", at(0)), second: edge(certs.New(), nil, "https", at(0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, MaxVersion: c.version}
			cache := tls.NewLRUClientSessionCache(1)
			// The cache of a client goes by name: here by what it is told.
			client.ClientSessionCache = anyName{cache}
			if resumes(t, c.first, client) {
				t.Fatal("the first connection is resumed")
			}
			if c.host != "" {
				client.ServerName = c.host
			}
			if got := resumes(t, c.second, client); got != c.want {
				t.Errorf("resumed %v, want %v", got, c.want)
			}
		})
	}
}

// anyName keeps one session for all servers.
type anyName struct{ tls.ClientSessionCache }

func (c anyName) Get(string) (*tls.ClientSessionState, bool) { return c.ClientSessionCache.Get("") }
func (c anyName) Put(_ string, cs *tls.ClientSessionState)   { c.ClientSessionCache.Put("", cs) }

// A resumed session is renewed, and the renewed ticket is good as well.
func TestTicketIsRenewed(t *testing.T) {
	s := certs.New()
	s.Set([]certs.Pair{pair(t, "ns/a", nil, "a.example")})
	server := edge(s, nil, "https", time.Now)
	client := &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i := range 3 {
		if got := resumes(t, server, client); got != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, got)
		}
	}
}
