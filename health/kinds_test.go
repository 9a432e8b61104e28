package health_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/portico-lb/portico/health"
)

// probe makes one attempt at a server and compares the reason; "" is a pass, a
// reason that ends in "..." is a beginning.
func probe(t *testing.T, c health.Check, want string) {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	got := ""
	if err := health.Probe(t.Context(), c); err != nil {
		got = err.Error()
	}
	if begin, ok := strings.CutSuffix(want, "..."); got != want && (!ok || !strings.HasPrefix(got, begin)) {
		t.Errorf("%s:\ngot  %q\nwant %q", c, got, want)
	}
}

// closedPort returns a port that refuses, and will for a while.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// An authority signs one server certificate.
type authority struct {
	file string // its own certificate
	leaf tls.Certificate
}

func newAuthority(t *testing.T, lifetime time.Duration, names ...string) authority {
	t.Helper()
	sign := func(tmpl, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 365),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: time.Now().Add(lifetime), DNSNames: names,
	}
	if len(names) == 0 {
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	a := authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	der := sign(ca, ca, caKey, caKey)
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.leaf = tls.Certificate{Certificate: [][]byte{sign(leaf, ca, key, caKey)}, PrivateKey: key}
	return a
}

// serveTLS returns the address of an HTTPS server that presents a certificate
// by SNI, the first one where there is none.
func serveTLS(t *testing.T, handler http.HandlerFunc, certs ...tls.Certificate) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: certs}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func TestProbeTLS(t *testing.T) {
	byAddr, byName := newAuthority(t, time.Hour), newAuthority(t, time.Hour, "www.example.com")
	expired := newAuthority(t, -time.Minute)
	target := serveTLS(t, nil, byAddr.leaf, byName.leaf)
	old := serveTLS(t, nil, expired.leaf)
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(target netip.AddrPort, o health.TLSOptions) health.Check {
		return health.Check{Kind: health.TLS, Target: target, TLS: o}
	}
	probe(t, check(target, health.TLSOptions{CAFile: byAddr.file}), "")
	probe(t, check(target, health.TLSOptions{CAFile: byName.file, ServerName: "www.example.com"}), "")
	probe(t, check(target, health.TLSOptions{SkipVerify: true}), "")
	probe(t, check(old, health.TLSOptions{SkipVerify: true}), "")
	probe(t, check(target, health.TLSOptions{CAFile: byAddr.file, ExpiresWithin: 30 * time.Minute}), "")
	probe(t, check(target, health.TLSOptions{CAFile: byAddr.file, ExpiresWithin: 2 * time.Hour}), "certificate ends at ...")
	probe(t, check(old, health.TLSOptions{CAFile: expired.file}),
		"tls handshake: tls: failed to verify certificate: x509: certificate has expired...")
	probe(t, check(target, health.TLSOptions{}),
		"tls handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority...")
	probe(t, check(target, health.TLSOptions{CAFile: byAddr.file, ServerName: "other.example.com"}),
		"tls handshake: tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match other.example.com: set server_name to a name in the certificate")
	probe(t, check(target, health.TLSOptions{CAFile: "/no/such"}), "ca_file: open /no/such: no such file or directory")
	probe(t, check(target, health.TLSOptions{CAFile: noPEM}), "ca_file: "+noPEM+" has no certificate in PEM")
	probe(t, check(listen(t, func(c net.Conn) { io.WriteString(c, "220 mail\r\n") }), health.TLSOptions{}), "tls handshake: tls: first record does not look like a TLS handshake")
	silent := check(listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }), health.TLSOptions{})
	silent.Timeout = 100 * time.Millisecond
	probe(t, silent, "tls handshake: timeout after 100ms")
	closed := closedPort(t)
	probe(t, check(closed, health.TLSOptions{}), "connect "+closed.String()+": connection refused")
}

func TestProbeHTTPS(t *testing.T) {
	a := newAuthority(t, time.Hour, "www.example.com")
	requests := make(chan *http.Request, 4)
	target := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.WriteHeader(401)
		io.WriteString(w, "state: good\n"+strings.Repeat("x", 100_000))
	}, a.leaf)
	c := health.Check{
		Kind: health.HTTPS, Target: target, TLS: health.TLSOptions{CAFile: a.file, ServerName: "www.example.com"},
		HTTP: health.HTTPRequest{
			Method: "POST", Host: "www.example.com", Path: "/ready", Header: "Authorization: Bearer s\nX-A: 1\n",
			Status: health.StatusRange{Low: 200, High: 299}, Statuses: "301, 400-403", Body: "^state: (good|fair)",
		},
	}
	probe(t, c, "")
	if seen := <-requests; seen.Method != "POST" || seen.Host != "www.example.com" || seen.Header.Get("Authorization") != "Bearer s" ||
		seen.Header.Get("X-A") != "1" || seen.TLS.ServerName != "www.example.com" {
		t.Errorf("the server saw %+v", seen)
	}
	c.HTTP.Body = "bad"
	probe(t, c, `body "state: good\nxxxxxxxxxxxxxxxxxxxxxxxxxxxx"... does not match "bad"`)
	c.HTTP.Statuses = "404"
	probe(t, c, "status 401, want 200-299,404")
	c.TLS.CAFile = ""
	probe(t, c, "tls handshake: ...")
}

// The answer to HEAD has a length and no body.
func TestProbeHTTPHead(t *testing.T) {
	c := httpCheck(listen(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")))
	c.HTTP.Method = "HEAD"
	probe(t, c, "")
}

func TestProbeGRPC(t *testing.T) {
	a := newAuthority(t, time.Hour)
	serve := func(o ...grpc.ServerOption) (netip.AddrPort, *grpchealth.Server) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, h := grpc.NewServer(o...), grpchealth.NewServer()
		grpc_health_v1.RegisterHealthServer(s, h)
		done := make(chan error)
		go func() { done <- s.Serve(l) }()
		t.Cleanup(func() { s.Stop(); <-done })
		return l.Addr().(*net.TCPAddr).AddrPort(), h
	}
	target, server := serve()
	server.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	c := health.Check{Kind: health.GRPC, Target: target}
	probe(t, c, "")
	c.GRPC.Service = "shop.Cart"
	probe(t, c, "grpc: NOT_SERVING")
	server.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
	probe(t, c, "")
	c.GRPC.Service = "shop.Card"
	probe(t, c, `grpc: the server knows no service "shop.Card"`)

	secure, _ := serve(grpc.Creds(credentials.NewServerTLSFromCert(&a.leaf)))
	c = health.Check{Kind: health.GRPC, Target: secure, GRPC: health.GRPCOptions{TLS: true}, TLS: health.TLSOptions{CAFile: a.file}}
	probe(t, c, "")
	c.TLS.CAFile = ""
	probe(t, c, "grpc: Unavailable: ...")

	c = health.Check{Kind: health.GRPC, Target: listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }), Timeout: 100 * time.Millisecond}
	probe(t, c, "grpc: timeout after 100ms")
	c.Target = listen(t, answer("HTTP/1.1 200 OK\r\n\r\n"))
	c.Timeout = time.Second
	probe(t, c, "grpc: Unavailable: ...")
	c.Target = closedPort(t)
	probe(t, c, "connect "+c.Target.String()+": connection refused")
}

// serveUDP answers each datagram with what reply makes of it.
func serveUDP(t *testing.T, reply func([]byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, b := range reply(buf[:n]) {
				conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestProbeDNS(t *testing.T) {
	respond := func(change func(m *dnsmessage.Message)) func([]byte) [][]byte {
		return func(b []byte) [][]byte {
			var m dnsmessage.Message
			if err := m.Unpack(b); err != nil {
				return nil
			}
			m.Response = true
			change(&m)
			good, err := m.Pack()
			if err != nil {
				panic(err)
			}
			m.ID, m.RCode = m.ID+1, dnsmessage.RCodeServerFailure
			stranger, _ := m.Pack()
			return [][]byte{{1, 2, 3}, stranger, good}
		}
	}
	c := health.Check{Kind: health.DNS, DNS: health.DNSQuery{Name: "www.example.com.", Type: dnsmessage.TypeA}, Timeout: 200 * time.Millisecond}
	c.Target = serveUDP(t, respond(func(*dnsmessage.Message) {}))
	probe(t, c, "")
	c.DNS.RCode = dnsmessage.RCodeNameError
	probe(t, c, "dns: www.example.com. A is answered NOERROR, want NXDOMAIN")
	c.Target = serveUDP(t, respond(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }))
	probe(t, c, "")
	c.Target = serveUDP(t, respond(func(m *dnsmessage.Message) { m.RCode, m.Questions = dnsmessage.RCodeRefused, nil }))
	probe(t, c, "dns: www.example.com. A is answered REFUSED, want NXDOMAIN")
	c.Target = serveUDP(t, respond(func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeMX }))
	probe(t, c, "read answer: timeout after 200ms")
	c.Target = closedPort(t)
	probe(t, c, "read answer: connection refused")
	c.DNS.Name = "a..b."
	probe(t, c, "dns query: ...")
}

func TestProbeUDP(t *testing.T) {
	echo := func(b []byte) [][]byte { return [][]byte{append([]byte("echo "), b...)} }
	mute := func([]byte) [][]byte { return nil }
	c := health.Check{Kind: health.UDP, Target: serveUDP(t, echo), UDP: health.Datagram{Send: "\x00\xff", Expect: `^echo \x00`}}
	probe(t, c, "")
	c.UDP.Expect = "^pong"
	probe(t, c, `answer "echo \x00\xff" does not match "^pong"`)
	c.UDP.Expect = ""
	probe(t, c, "")
	c.Timeout = 100 * time.Millisecond
	c.Target = serveUDP(t, mute)
	probe(t, c, "")
	c.UDP.Expect = "."
	probe(t, c, "read answer: timeout after 100ms")
	c.UDP.Expect, c.Target = "", closedPort(t)
	probe(t, c, "read answer: connection refused")
}

func TestProbePing(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("PORTICO_LAB") == "1" {
			t.Fatal("raw sockets need root")
		}
		t.Skip("raw sockets need root")
	}
	for _, addr := range []string{"127.0.0.1", "::1"} {
		probe(t, health.Check{Kind: health.Ping, Target: netip.AddrPortFrom(netip.MustParseAddr(addr), 0)}, "")
	}
}

func TestProbeExec(t *testing.T) {
	c := health.Check{
		Kind: health.Exec, Target: netip.MustParseAddrPort("192.0.2.11:80"),
		Exec: health.Program{Args: "/bin/sh\x00-c\x00echo $PORTICO_ADDRESS $PORTICO_PORT; exit $0\x000\x00"},
	}
	probe(t, c, "")
	c.Exec.Args = strings.TrimSuffix(c.Exec.Args, "0\x00") + "7\x00"
	probe(t, c, "exit status 7: 192.0.2.11 80")
	c.Exec.Args, c.Timeout = "/bin/sleep\x0060\x00", 100*time.Millisecond
	probe(t, c, "timeout after 1...") // or a little later, on a busy machine
	c.Exec = health.Program{Args: "/bin/true\x00", User: "no-such-user"}
	probe(t, c, `run as "no-such-user": user: unknown user no-such-user`)
}

func TestProbeDRPathNeedsAnAddress(t *testing.T) {
	probe(t, health.Check{Kind: health.DRPath, Target: netip.MustParseAddrPort("192.0.2.11:80")},
		"the service has no virtual address that 192.0.2.11 could be asked for")
}

// Every kind ends when its context does, and not at its timeout.
func TestProbeKindsEndWithTheirContext(t *testing.T) {
	mute := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for _, c := range []health.Check{
		{Kind: health.HTTPS, Target: mute, HTTP: health.HTTPRequest{Path: "/"}},
		{Kind: health.TLS, Target: mute},
		{Kind: health.GRPC, Target: mute},
		{Kind: health.DNS, Target: serveUDP(t, func([]byte) [][]byte { return nil }), DNS: health.DNSQuery{Name: ".", Type: dnsmessage.TypeSOA}},
		{Kind: health.UDP, Target: serveUDP(t, func([]byte) [][]byte { return nil })},
		{Kind: health.Exec, Exec: health.Program{Args: "/bin/sleep\x0060\x00"}},
	} {
		c.Timeout = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(20*time.Millisecond, cancel)
		began := time.Now()
		if err := health.Probe(ctx, c); err == nil || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", c.Kind, err, time.Since(began))
		}
		stop.Stop()
		cancel()
	}
}
