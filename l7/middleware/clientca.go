package middleware

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
)

// ClientCA lets those pass that have come with a certificate which one of its
// CAs has signed, and tells the endpoint of it in the fields of ingress-nginx:
// ssl-client-verify, ssl-client-subject-dn, ssl-client-issuer-dn. What a client
// itself writes into these never comes through. Others get 400, as with nginx.
//
// The entrypoint has to ask for certificates. Where it does not, nobody has one.
type ClientCA struct {
	// CA are the certificates as PEM.
	CA string `json:"-"`
	// Depth is how many certificates may stand between the client's and the
	// CA's.
	Depth int `json:"depth"`
	// Name is a regular expression that CN=NAME of the certificate must begin
	// with, "" for none.
	Name string `json:"name,omitempty"`
	// Optional lets those pass too that have no certificate at all.
	Optional bool `json:"optional,omitempty"`
	// Pass sends the certificate in ssl-client-cert, as PEM with the escapes of
	// a URL.
	Pass bool `json:"pass,omitempty"`
}

// Kind is its name.
func (ClientCA) Kind() string { return "client_ca" }

// Check reports why s cannot work.
func (s ClientCA) Check() error {
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)) {
		return errors.New("ca.crt holds no certificate as PEM")
	}
	if _, err := s.name(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	return nil
}

func (s ClientCA) name() (*regexp.Regexp, error) { return regexp.Compile("^(?:" + s.Name + ")") }

// New returns the middleware.
func (s ClientCA) New(Env) Middleware {
	m := &clientCA{step: s, roots: x509.NewCertPool()}
	m.roots.AppendCertsFromPEM([]byte(s.CA))
	m.name, _ = s.name() // Check has tried
	return m
}

type clientCA struct {
	step  ClientCA
	roots *x509.CertPool
	name  *regexp.Regexp
}

// Handle refuses whom it does not know.
func (m *clientCA) Handle(_ context.Context, r *Request) *Answer {
	for _, name := range []string{"ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"} {
		r.Header.delAliases(name)
	}
	if len(r.Certificates) == 0 {
		if m.step.Optional {
			r.Header.Add("ssl-client-verify", "NONE")
			return nil
		}
		return &Answer{Status: http.StatusBadRequest, Reason: "a client certificate is needed"}
	}
	c, ok := m.verify(r)
	switch {
	case !ok:
		return &Answer{Status: http.StatusBadRequest, Reason: "the client certificate is of nobody who is known here"}
	case m.step.Name != "" && (m.name == nil || !m.name.MatchString("CN="+c.Subject.CommonName)):
		return &Answer{Status: http.StatusForbidden, Reason: "not for the name of this client certificate"}
	}
	r.Header.Add("ssl-client-verify", "SUCCESS")
	r.Header.Add("ssl-client-subject-dn", c.Subject.String())
	r.Header.Add("ssl-client-issuer-dn", c.Issuer.String())
	if m.step.Pass {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		r.Header.Add("ssl-client-cert", url.QueryEscape(string(text)))
	}
	return nil
}

// verify returns the client's certificate, if a chain of what has come with it
// leads from that to a CA. That the client has its key is what TLS has shown.
func (m *clientCA) verify(r *Request) (*x509.Certificate, bool) {
	leaf, err := x509.ParseCertificate(r.Certificates[0])
	if err != nil {
		return nil, false
	}
	o := x509.VerifyOptions{
		Roots:         m.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   r.Begun,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, der := range r.Certificates[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			o.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return nil, false
	}
	for _, chain := range chains {
		if len(chain) <= m.step.Depth+2 {
			return leaf, true
		}
	}
	return nil, false
}
