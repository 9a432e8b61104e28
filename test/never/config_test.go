package never

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/edge"
)

// configure writes the configuration in one of several versions, which differ
// in what a reload is good for.
func (s *site) configure(version int) {
	extra := ""
	if version%2 == 1 {
		extra = "[[l7.entrypoint]]\nname = \"other\"\nlisten = \":8081\"\n"
	}
	s.write(s.config, fmt.Sprintf(`[node]
name    = "site"
run_dir = "%[1]s/run"

[log]
format = "text"

[admin]
socket    = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"

[l7]
drain = "2s"

[[l7.entrypoint]]
name            = "http"
listen          = ":80"
trusted_proxies = ["192.0.2.%[2]d"]

[[l7.entrypoint]]
name            = "https"
listen          = ":443"
http3           = %[5]t
trusted_proxies = ["192.0.2.%[2]d"]
tls             = {}

%[3]s
[l7.kubernetes]
manifests = %[4]q
`, s.node.Dir(), version/4%4, extra, s.folder, s.http3))
}

// ingress routes the prefixes of a host to Services.
func ingress(host string, paths ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s, namespace: default}
spec:
  ingressClassName: portico
  tls: [{hosts: [%[1]s.test], secretName: site}]
  rules:
  - host: %[1]s.test
    http:
      paths:
`, host)
	for i := 0; i < len(paths); i += 2 {
		fmt.Fprintf(&b, "      - {path: %s, pathType: Prefix, backend: {service: {name: %s, port: {number: 80}}}}\n", paths[i], paths[i+1])
	}
	return b.String()
}

// publish makes pods the endpoints of a Service.
func (s *site) publish(service string, pods ...*pod) {
	var list []*edge.Pod
	for _, p := range pods {
		list = append(list, &edge.Pod{Addr: p.addr})
	}
	s.manifest("service-"+service, edge.ServiceManifest(service, list...))
}

// certify makes another certificate the one of all hosts, and returns its
// serial number.
func (s *site) certify() *big.Int {
	s.mu.Lock()
	s.serial++
	serial := big.NewInt(int64(s.serial))
	s.mu.Unlock()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "site"}, DNSNames: []string{"*.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	s.manifest("secret", fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: site, namespace: default}\n"+
		"type: kubernetes.io/tls\ndata: {tls.crt: %s, tls.key: %s}\n", encode("CERTIFICATE", cert), encode("PRIVATE KEY", der)))
	return serial
}

// status is what the proxy says of itself, as far as it matters here.
type status struct {
	L7 struct {
		Ready  bool
		Reason string
		Engine struct {
			Requests             uint64
			Connections, Tunnels int64
			Retries              uint64
			Responses            map[string]uint64
			Refused              map[string]uint64
			Backends             []struct {
				Backend         struct{ Namespace, Service string }
				Endpoints       []struct{ Addr string }
				RetriesWithheld uint64 `json:"retries_withheld"`
			}
		}
	}
}

// status asks the proxy, as the status command does.
func (s *site) status() (st status, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Clean(s.socket))
		},
	}}
	resp, err := client.Get("http://portico/api/v1/status")
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// knows reports whether the endpoints of a service are those of pods.
func (s *site) knows(service string, pods ...*pod) error {
	st, err := s.status()
	if err != nil {
		return err
	}
	for _, b := range st.L7.Engine.Backends {
		if b.Backend.Service != service {
			continue
		}
		have := map[string]bool{}
		for _, e := range b.Endpoints {
			have[e.Addr] = true
		}
		for _, p := range pods {
			if !have[p.listens()] {
				return fmt.Errorf("%s is not among the endpoints of %s", p.name, service)
			}
		}
		if len(have) == len(pods) {
			return nil
		}
		return fmt.Errorf("%s has %d endpoints, not yet %d", service, len(have), len(pods))
	}
	return fmt.Errorf("service %s is not known", service)
}
