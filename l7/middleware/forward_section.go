package middleware

import (
	"time"

	"github.com/portico-lb/portico/l7/value"
)

// A ForwardAuthSection is forward_auth = {...}.
type ForwardAuthSection struct {
	URL             string           `toml:"url"`
	Method          string           `toml:"method"`
	TrustHeader     bool             `toml:"trust_header"`
	RequestHeaders  []string         `toml:"request_headers"`
	ResponseHeaders []string         `toml:"response_headers"`
	UserHeader      string           `toml:"user_header"`
	PassCookies     bool             `toml:"pass_cookies"`
	SignIn          string           `toml:"sign_in"`
	Timeout         string           `toml:"timeout"`
	MaxBody         string           `toml:"max_body"`
	TLS             ClientTLSSection `toml:"tls"`
}

// A ClientTLSSection is tls of it.
type ClientTLSSection struct {
	CAFile             string `toml:"ca_file"`
	CertFile           string `toml:"cert_file"`
	KeyFile            string `toml:"key_file"`
	ServerName         string `toml:"server_name"`
	InsecureSkipVerify bool   `toml:"insecure_skip_verify"`
}

// Parse checks s.
func (s ForwardAuthSection) Parse(p value.Parser) Step {
	out := ForwardAuth{
		URL:             s.URL,
		Local:           true, // it is the operator who says so
		Method:          s.Method,
		TrustHeader:     s.TrustHeader,
		RequestHeaders:  s.RequestHeaders,
		ResponseHeaders: s.ResponseHeaders,
		UserHeader:      s.UserHeader,
		PassCookies:     s.PassCookies,
		SignIn:          s.SignIn,
		Timeout:         p.Span(s.Timeout, "timeout", DefaultAuthTimeout, 10*time.Millisecond, 5*time.Minute),
		MostBody:        p.Size(s.MaxBody, "max_body", DefaultAuthBody, 1, 1<<26),
		TLS:             s.TLS.parse(p.In("tls")),
	}
	out.Backend, _ = ServiceURL(s.URL)
	if err := out.Check(); err != nil {
		p.Bad("", err.Error())
	}
	return out
}

func (s ClientTLSSection) parse(p value.Parser) ClientTLS {
	read := func(path, key string) []byte {
		if path == "" {
			return nil
		}
		b, err := p.ReadFile(path)
		if err != nil {
			p.Bad(key, err.Error())
		}
		return b
	}
	return ClientTLS{
		CA:          read(s.CAFile, "ca_file"),
		Certificate: read(s.CertFile, "cert_file"),
		Key:         read(s.KeyFile, "key_file"),
		ServerName:  s.ServerName,
		Insecure:    s.InsecureSkipVerify,
	}
}
