package middleware

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"github.com/portico-lb/portico/l7/value"
)

// ClientCertificate tells endpoints with which certificate a client has come, in
// the fields and the form of Traefik 1.7. What a client itself writes into these
// fields never comes through.
type ClientCertificate struct {
	// PEM sends the certificates whole, in X-Forwarded-Tls-Client-Cert: base64
	// of each, with commas between them.
	PEM bool `json:"pem,omitempty"`
	// NotBefore, NotAfter, SANs, Subject and Issuer choose what
	// X-Forwarded-Tls-Client-Cert-Infos says of them.
	NotBefore bool `json:"not_before,omitempty"`
	NotAfter  bool `json:"not_after,omitempty"`
	SANs      bool `json:"sans,omitempty"`
	Subject   Name `json:"subject,omitzero"`
	Issuer    Name `json:"issuer,omitzero"`
}

// A Name chooses the attributes of a distinguished name.
type Name struct {
	DomainComponent bool `json:"domain_component,omitempty"`
	Country         bool `json:"country,omitempty"`
	Province        bool `json:"province,omitempty"`
	Locality        bool `json:"locality,omitempty"`
	Organization    bool `json:"organization,omitempty"`
	CommonName      bool `json:"common_name,omitempty"`
	SerialNumber    bool `json:"serial_number,omitempty"`
}

// The fields that tell of client certificates.
const (
	clientCert  = "X-Forwarded-Tls-Client-Cert"
	clientInfos = "X-Forwarded-Tls-Client-Cert-Infos"
)

// Kind is its name in the configuration.
func (ClientCertificate) Kind() string { return "client_certificate" }

// New returns the middleware.
func (s ClientCertificate) New(Env) Middleware { return &clientCertificate{s} }

type clientCertificate struct{ step ClientCertificate }

// Handle sets the fields. A certificate that was not asked for is none.
func (m *clientCertificate) Handle(_ context.Context, r *Request) *Answer {
	r.Header.delAliases(clientCert)
	r.Header.delAliases(clientInfos)
	if len(r.Certificates) == 0 {
		return nil
	}
	var whole, infos []string
	for _, der := range r.Certificates {
		whole = append(whole, url.QueryEscape(base64.StdEncoding.EncodeToString(der)))
		if c, err := x509.ParseCertificate(der); err == nil {
			infos = append(infos, m.step.infos(c))
		}
	}
	if m.step.PEM {
		r.Header.Add(clientCert, strings.Join(whole, ","))
	}
	if said := strings.Join(infos, ";"); strings.Trim(said, ";") != "" {
		r.Header.Add(clientInfos, url.QueryEscape(said))
	}
	return nil
}

// infos is what is chosen of one certificate.
func (s *ClientCertificate) infos(c *x509.Certificate) string {
	var out []string
	if n := s.Subject.of(c.Subject); n != "" {
		out = append(out, `Subject="`+n+`"`)
	}
	if n := s.Issuer.of(c.Issuer); n != "" {
		out = append(out, `Issuer="`+n+`"`)
	}
	if s.NotBefore {
		out = append(out, fmt.Sprintf("NB=%d", c.NotBefore.Unix()))
	}
	if s.NotAfter {
		out = append(out, fmt.Sprintf("NA=%d", c.NotAfter.Unix()))
	}
	if s.SANs {
		sans := append(append([]string{}, c.DNSNames...), c.EmailAddresses...)
		for _, ip := range c.IPAddresses {
			sans = append(sans, ip.String())
		}
		for _, u := range c.URIs {
			sans = append(sans, u.String())
		}
		out = append(out, "SAN="+strings.Join(sans, ","))
	}
	return strings.Join(out, ",")
}

// domainComponent is the attribute of RFC 4519, section 2.4.
var domainComponent = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}

// of is what is chosen of a name.
func (n Name) of(name pkix.Name) string {
	var out []string
	add := func(chosen bool, key string, values ...string) {
		for _, v := range values {
			if chosen && v != "" {
				out = append(out, key+"="+v)
			}
		}
	}
	for _, a := range name.Names {
		if a.Type.Equal(domainComponent) {
			add(n.DomainComponent, "DC", fmt.Sprint(a.Value))
		}
	}
	add(n.Country, "C", name.Country...)
	add(n.Province, "ST", name.Province...)
	add(n.Locality, "L", name.Locality...)
	add(n.Organization, "O", name.Organization...)
	add(n.SerialNumber, "SN", name.SerialNumber)
	add(n.CommonName, "CN", name.CommonName)
	return strings.Join(out, ",")
}

// A ClientCertificateSection is client_certificate = {...}.
type ClientCertificateSection struct {
	PEM       bool     `toml:"pem"`
	NotBefore bool     `toml:"not_before"`
	NotAfter  bool     `toml:"not_after"`
	SANs      bool     `toml:"sans"`
	Subject   []string `toml:"subject"`
	Issuer    []string `toml:"issuer"`
}

// Parse checks s.
func (s ClientCertificateSection) Parse(p value.Parser) Step {
	out := ClientCertificate{
		PEM: s.PEM, NotBefore: s.NotBefore, NotAfter: s.NotAfter, SANs: s.SANs,
		Subject: parseName(p, "subject", s.Subject), Issuer: parseName(p, "issuer", s.Issuer),
	}
	if out == (ClientCertificate{}) {
		p.Bad("", "tells nothing: want pem, not_before, not_after, sans, subject or issuer")
	}
	return out
}

// parseName reads which attributes are chosen.
func parseName(p value.Parser, key string, list []string) (n Name) {
	chosen := []struct {
		name string
		is   *bool
	}{
		{"domain_component", &n.DomainComponent}, {"country", &n.Country}, {"province", &n.Province}, {"locality", &n.Locality},
		{"organization", &n.Organization}, {"common_name", &n.CommonName}, {"serial_number", &n.SerialNumber},
	}
	names := make([]string, len(chosen))
	for i, c := range chosen {
		names[i] = c.name
	}
	for i, s := range list {
		if c := p.Choice(s, fmt.Sprintf("%s[%d]", key, i), names); c >= 0 {
			*chosen[c].is = true
		}
	}
	return n
}
