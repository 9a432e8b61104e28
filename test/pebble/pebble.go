// Package pebble runs a CA that speaks ACME: Debian's pebble, with a DNS server
// beside it that leads every name to one address.
package pebble

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Options say where the CA looks for those who ask it.
type Options struct {
	// Names is the address that every name leads to. Default 127.0.0.1.
	Names netip.Addr
	// HTTP and TLS are the ports where challenges are answered.
	HTTP, TLS uint16
	// Listen is the CA's own address. Default 127.0.0.1.
	Listen netip.Addr
	// Validation is how long it takes before it looks; it is drawn from nothing
	// to that.
	Validation time.Duration
	// Lifetime is that of certificates; default five years.
	Lifetime time.Duration
	// Responder is the URL of an OCSP responder that certificates name.
	Responder string
	// Run starts a program that ends with the test, elsewhere than here.
	Run func(name string, args ...string)
}

// A CA is a running one.
type CA struct {
	// Directory is its URL, Roots the certificate that its own server is known
	// by, PEM.
	Directory string
	Roots     []byte
	// management is the URL that tells the issuing certificates.
	management string
}

// Blocked is a host that the CA refuses.
const Blocked = "blocked-domain.example"

// Start starts a CA that ends with the test. Without pebble the test is
// skipped, but in the lab.
func Start(t testing.TB, o Options) *CA {
	t.Helper()
	for _, name := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("PORTICO_LAB") != "" {
				t.Fatal(err)
			}
			t.Skipf("%v: apt install pebble", err)
		}
	}
	o.fill(t)
	dir := t.TempDir()
	ports := freePorts(t, 3)
	cert, key := serverPair(t, o.Listen)
	ca := &CA{
		Directory:  fmt.Sprintf("https://%s/dir", netip.AddrPortFrom(o.Listen, ports[0])),
		Roots:      cert,
		management: fmt.Sprintf("https://%s", netip.AddrPortFrom(o.Listen, ports[1])),
	}
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	settings := map[string]any{
		"listenAddress":           netip.AddrPortFrom(o.Listen, ports[0]).String(),
		"managementListenAddress": netip.AddrPortFrom(o.Listen, ports[1]).String(),
		"certificate":             filepath.Join(dir, "cert.pem"),
		"privateKey":              filepath.Join(dir, "key.pem"),
		"httpPort":                o.HTTP,
		"tlsPort":                 o.TLS,
		"ocspResponderURL":        o.Responder,
		"domainBlocklist":         []string{Blocked},
	}
	if o.Lifetime > 0 {
		settings["certificateValidityPeriod"] = int(o.Lifetime.Seconds())
	}
	config, err := json.Marshal(map[string]any{"pebble": settings})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.json"), config)
	dns := netip.AddrPortFrom(o.Listen, ports[2]).String()
	o.Run("pebble-challtestsrv", "-defaultIPv4", o.Names.String(), "-defaultIPv6", "",
		"-dns01", dns, "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "")
	pace := "PEBBLE_VA_NOSLEEP=1"
	if o.Validation > 0 {
		pace = fmt.Sprintf("PEBBLE_VA_SLEEPTIME=%d", int(o.Validation.Seconds()))
	}
	o.Run("env", pace, "pebble", "-config", filepath.Join(dir, "config.json"), "-dnsserver", dns)
	return ca
}

func (o *Options) fill(t testing.TB) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !o.Names.IsValid() {
		o.Names = loopback
	}
	if !o.Listen.IsValid() {
		o.Listen = loopback
	}
	if o.Run == nil {
		o.Run = func(name string, args ...string) { run(t, name, args...) }
	}
}

// run starts a program here that ends with the test. A failed test shows the end
// of its log.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("%s:\n%s", name, text[max(0, len(text)-8<<10):])
		}
	})
}

// Await returns once the CA answers.
func (ca *CA) Await(t testing.TB, client *http.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, err := get(ctx, client, ca.Directory); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not answer", ca.Directory)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Client returns one that knows the CA's own server, and that dials by dial
// where it is not nil.
func (ca *CA) Client(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Roots)
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
}

// Issuers are the roots of what the CA issues.
func (ca *CA) Issuers(t testing.TB, client *http.Client) *x509.CertPool {
	t.Helper()
	text, err := get(t.Context(), client, ca.management+"/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePorts returns ports that are free now, here: others may take them before
// they are used, which a test that listens at once does not live to see.
func freePorts(t testing.TB, n int) []uint16 {
	t.Helper()
	var out []uint16
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).AddrPort().Port())
	}
	return out
}

// serverPair makes a self-signed certificate for the CA's own server.
func serverPair(t testing.TB, addr netip.Addr) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "CA of the test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{addr.AsSlice()},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var c, k bytes.Buffer
	pem.Encode(&c, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&k, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return c.Bytes(), k.Bytes()
}
