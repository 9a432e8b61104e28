package l7

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"

	"github.com/portico-lb/portico/l7/certs"
)

// tlsConfig returns what an entrypoint shows and asks for; nil where it speaks
// no TLS. Certificates change behind it. protocols are those of ALPN, the
// preferred first.
func (r *runner) tlsConfig(t *TLS, protocols []string) *tls.Config {
	if t == nil {
		return nil
	}
	c := &tls.Config{
		MinVersion:     t.MinVersion,
		CipherSuites:   t.CipherSuites,
		NextProtos:     protocols,
		ClientAuth:     t.ClientAuth,
		GetCertificate: r.l.certs.GetCertificate,
		// Small records at first would each be a system call.
		DynamicRecordSizingDisabled: true,
	}
	if t.StrictSNI {
		c.GetCertificate = strictly(r.l.certs)
	}
	scope := "any"
	if t.ClientCAs != nil {
		c.ClientCAs = x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM(t.ClientCAs)
		sum := sha256.Sum256(t.ClientCAs)
		scope = t.ClientAuth.String() + hex.EncodeToString(sum[:])
	}
	r.tickets.Bind(c, scope)
	c.GetConfigForClient = r.l.proof
	return c
}

// strictly shows certificates to clients that ask for one of their names. Others
// get none and no error, which crypto/tls tells them as unrecognized_name (RFC 6066,
// section 3).
func strictly(s *certs.Store) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if !s.Known(hello.ServerName) {
			return nil, nil
		}
		return s.GetCertificate(hello)
	}
}
