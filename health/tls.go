package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// TLSOptions are how a check speaks TLS.
type TLSOptions struct {
	// ServerName is sent as SNI and must stand in the certificate; "" sends
	// none, and the certificate must name the target's address.
	ServerName string
	// CAFile has the PEM certificates to trust, read at every attempt; "" are
	// the system's.
	CAFile string
	// SkipVerify accepts every certificate.
	SkipVerify bool
	// ExpiresWithin fails the check when the server's certificate has less
	// time left; 0 asks for nothing beyond validity.
	ExpiresWithin time.Duration
}

func (o TLSOptions) config(target net.IP) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: o.ServerName, InsecureSkipVerify: o.SkipVerify, MinVersion: tls.VersionTLS12}
	if cfg.ServerName == "" {
		cfg.ServerName = target.String() // an address is verified, and never sent
	}
	if o.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s has no certificate in PEM", o.CAFile)
	}
	return cfg, nil
}

func probeTLS(ctx context.Context, c Check) error {
	conn, err := dialTLS(ctx, c)
	if err != nil {
		return err
	}
	conn.Close() // its farewell may meet a server that is gone, after all went well
	return nil
}

func (p *Prober) probeHTTPS(ctx context.Context, c Check) (said string, err error) {
	conn, err := dialTLS(ctx, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return p.exchange(conn, c)
}

// dialTLS opens a connection, shakes hands and looks at the certificate.
func dialTLS(ctx context.Context, c Check) (net.Conn, error) {
	cfg, err := c.TLS.config(c.Target.Addr().AsSlice())
	if err != nil {
		return nil, err
	}
	raw, err := dial(ctx, c)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("tls handshake: %w", untrusted(plain(c, err)))
	}
	if err := c.TLS.expiry(conn.ConnectionState(), time.Now()); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// untrusted adds the cure to the fault that a server with a certificate of its
// own making has.
func untrusted(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name its authority by ca_file, or set insecure_skip_verify", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: set server_name to a name in the certificate", err)
	}
	return err
}

func (o TLSOptions) expiry(s tls.ConnectionState, now time.Time) error {
	if o.ExpiresWithin == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	if end := s.PeerCertificates[0].NotAfter; end.Before(now.Add(o.ExpiresWithin)) {
		return fmt.Errorf("certificate ends at %s, less than %s from now", end.UTC().Format(time.RFC3339), o.ExpiresWithin)
	}
	return nil
}
