package middleware

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/route"
)

var (
	errNoTransport = errors.New("no way to endpoints")
	errNoStatus    = errors.New("no status of a final response")
	errLongBody    = errors.New("body longer than what may be passed on")
	errLocal       = errors.New("address of this machine or link, which an Ingress may not have asked")
)

// ClientTLS is how we are a TLS client.
type ClientTLS struct {
	// CA are certificates as PEM that the server's must come from; none are the
	// system's.
	CA []byte `json:"-"`
	// Certificate and Key are ours as PEM; none for no certificate.
	Certificate []byte `json:"-"`
	Key         []byte `json:"-"`
	// ServerName is the name that the server's certificate must have, "" the
	// URL's host.
	ServerName string `json:"server_name,omitempty"`
	// Insecure takes any certificate.
	Insecure bool `json:"insecure,omitempty"`
}

// config returns what crypto/tls wants.
func (c ClientTLS) config() (*tls.Config, error) {
	out := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.Insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // by configuration
	if len(c.CA) > 0 {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("ca: holds no certificate as PEM")
		}
	}
	if len(c.Certificate)+len(c.Key) > 0 {
		pair, err := tls.X509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate and key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Check reports why s cannot work. A Step with such a fault must not be used:
// its requests are to be refused.
func (s ForwardAuth) Check() error {
	// The errors do not quote a URL: it may hold a password.
	if err := checkTemplate(s.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if s.SignIn != "" {
		if err := checkTemplate(s.SignIn); err != nil {
			return fmt.Errorf("sign-in: %w", err)
		}
	}
	for _, name := range slices.Concat([]string{cmp.Or(s.UserHeader, "X")}, s.RequestHeaders, s.ResponseHeaders) {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q is no name of a field", name)
		}
	}
	if s.Method != "" && !httpguts.ValidHeaderFieldName(s.Method) { // a token, as a name is
		return fmt.Errorf("%q is no method", s.Method)
	}
	_, err := s.TLS.config()
	return err
}

// checkTemplate checks a URL that may hold variables.
func checkTemplate(template string) error {
	text, unknown := expand(template, &Request{Host: "host", Authority: "host", Scheme: "http", Path: "/"})
	if unknown != "" {
		return fmt.Errorf("%s is no variable that is known", unknown)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("want a URL such as http://auth.default.svc/verify")
	case u.User != nil:
		return errors.New("must not hold a password: it is shown to whom may see routes")
	}
	return nil
}

// ClientNames reports whether the URL's host comes from the request. On a rule
// that takes any host, such a step would let a client name who is asked about
// it: it must not be used there.
func (s ForwardAuth) ClientNames() bool {
	_, rest, _ := strings.Cut(s.URL, "://")
	authority, _, _ := strings.Cut(rest, "/")
	return strings.Contains(authority, "$")
}

// ServiceURL returns the Service that an http URL names as those within a
// cluster do, NAME.NAMESPACE.svc or NAME.NAMESPACE.svc.cluster.local.
func ServiceURL(raw string) (route.Backend, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return route.Backend{}, false
	}
	host := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), ".cluster.local")
	name, ok := strings.CutSuffix(host, ".svc")
	service, namespace, two := strings.Cut(name, ".")
	if !ok || !two || service == "" || namespace == "" || strings.ContainsAny(name, "$") || strings.Contains(namespace, ".") {
		return route.Backend{}, false
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return route.Backend{Namespace: namespace, Service: service, Port: port}, true
}

// transport returns the way to a URL that names no Service, nil where Check
// finds a fault.
func (s ForwardAuth) transport() http.RoundTripper {
	config, err := s.TLS.config()
	if err != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if !s.Local {
		// Here, behind the look-up: a name may lead anywhere.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if ip := a.Addr().Unmap(); err != nil || ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
				return errLocal
			}
			return nil
		}
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the client's Accept-Encoding stands
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
