package http2_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/http2"
)

// hello answers what the conformance tests ask for: they look at windows and
// need a body of a few bytes, after the request's.
func hello(s *http2.Stream) {
	b := make([]byte, 4<<10)
	for s.HasBody {
		if _, err := s.Read(b); err != nil {
			break
		}
	}
	fields := []http2.Field{{Name: []byte("content-type"), Value: []byte("text/plain")}}
	if s.WriteHead(200, fields, false) == nil {
		s.WriteLast([]byte("hello, world"))
	}
}

// TestConformance runs h2spec, strict tests included.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	bin := filepath.Join(t.TempDir(), "h2spec")
	build := exec.Command("go", "build", "-o", bin, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir = "../../test/h2spec"
	build.Env = append(build.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build h2spec: %v\n%s", err, out)
	}
	for _, tt := range []struct {
		name string
		wrap func(net.Conn) net.Conn
		args []string
	}{
		{"clear", nil, nil},
		{"tls", overTLS(t), []string{"--tls", "--insecure"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, port, _ := net.SplitHostPort(listen(t, http2.Settings{}, tt.wrap, hello))
			ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
			defer stop()
			args := append([]string{"--strict", "--port", port, "--timeout", "2"}, tt.args...)
			out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
			report := string(out)
			if err != nil || !strings.Contains(report, " 0 failed") {
				t.Fatalf("h2spec: %v\n%s", err, report)
			}
			t.Log(report[strings.LastIndex(strings.TrimSpace(report), "\n")+1:])
		})
	}
}

// overTLS returns what wraps a connection in TLS that speaks h2.
func overTLS(t testing.TB) func(net.Conn) net.Conn {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"h2"},
		// Records that begin small cost a system call each.
		DynamicRecordSizingDisabled: true,
	}
	return func(nc net.Conn) net.Conn { return tls.Server(nc, config) }
}
