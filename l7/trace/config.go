// Package trace follows requests through several services: it continues the
// trace that a request comes with, or begins one (W3C Trace Context), tells the
// endpoint of it, and sends a span for each sampled request to a collector
// (OpenTelemetry, OTLP over HTTP).
package trace

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/portico-lb/portico/l7/value"
)

// A Section is [l7.trace] as the operator writes it.
type Section struct {
	Endpoint          string            `toml:"endpoint"`
	Sample            *float64          `toml:"sample"`
	ServiceName       string            `toml:"service_name"`
	Headers           map[string]string `toml:"headers"`
	AuthorizationFile string            `toml:"authorization_file"`
	CAFile            string            `toml:"ca_file"`
}

// A Config is a valid Section.
type Config struct {
	// Endpoint is the URL that spans are sent to; "" is no tracing.
	Endpoint string
	// Sample is the part of the traces that is recorded, 0 to 1, where no
	// trusted proxy has decided already.
	Sample      float64
	ServiceName string
	// Headers go with each batch of spans, credentials among them.
	Headers map[string]string
	// CA holds who signs the collector's certificate, as PEM; empty is whom the
	// system trusts.
	CA string
}

// Parse checks s; p tells faults of the table. A nil section is no tracing.
func (s *Section) Parse(p value.Parser) Config {
	if s == nil {
		return Config{}
	}
	c := Config{
		Endpoint:    s.endpoint(p),
		Sample:      value.Number(p, s.Sample, "sample", 0.1, 0, 1),
		ServiceName: s.ServiceName,
	}
	if c.ServiceName == "" {
		c.ServiceName = "portico"
	}
	for name, v := range s.Headers {
		switch {
		case !value.Token(name) || strings.ContainsAny(v, "\r\n"):
			p.Bad("headers", fmt.Sprintf("%q is no name of a header field, or has no value for one", name))
		case strings.EqualFold(name, "authorization"):
			p.Bad("headers", "a credential belongs into a file of its own: its key is authorization_file")
		}
		c.header(name, v)
	}
	if s.AuthorizationFile != "" {
		data, err := p.ReadFile(s.AuthorizationFile)
		if err != nil {
			p.Bad("authorization_file", err.Error())
		}
		c.header("Authorization", strings.TrimSpace(string(data)))
	}
	if s.CAFile != "" {
		data, err := p.ReadFile(s.CAFile)
		switch {
		case err != nil:
			p.Bad("ca_file", err.Error())
		case !x509.NewCertPool().AppendCertsFromPEM(data):
			p.Bad("ca_file", "holds no certificate")
		case !strings.HasPrefix(c.Endpoint, "https:"):
			p.Bad("ca_file", "stands beside an endpoint that is not https")
		}
		c.CA = string(data)
	}
	return c
}

func (c *Config) header(name, v string) {
	if c.Headers == nil {
		c.Headers = map[string]string{}
	}
	c.Headers[name] = v
}

// endpoint returns the whole URL: one without a path gets that of the protocol.
func (s *Section) endpoint(p value.Parser) string {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		p.Bad("endpoint", fmt.Sprintf(`%q is no collector: want one such as "http://127.0.0.1:4318"`, s.Endpoint))
		return ""
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String()
}
