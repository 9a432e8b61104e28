package l7_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/certs"
)

// TestHTTP3 serves HTTP/3 beside TCP, through a reload that replaces the
// entrypoint.
func TestHTTP3(t *testing.T) {
	addr := freeAddr(t)
	pair := certificate(t, "example.com")
	config := func(minVersion uint16) l7.Config {
		return l7.Config{Drain: 5 * time.Second, Entrypoints: []l7.Entrypoint{{
			Name: "https", Listen: addr, HTTP: l7.HTTP{HTTP2: true, HTTP3: true},
			TLS: &l7.TLS{MinVersion: minVersion, Certificates: []certs.Pair{pair}},
		}}}
	}
	reload := runL7(t, config(tls.VersionTLS12))
	tr := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}}
	defer tr.Close()
	c := http.Client{Transport: tr, Timeout: 10 * time.Second}
	for i := range 10 {
		resp, err := c.Get("https://" + addr + "/")
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 3 || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%d: got %v", i, resp)
		}
		if i == 4 {
			reload(config(tls.VersionTLS13))
		}
		tr.CloseIdleConnections()
	}
}
