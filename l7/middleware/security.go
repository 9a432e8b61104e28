package middleware

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// Security tells browsers to be careful, and refuses hosts that are not ours.
// A field that the endpoint sets itself is replaced; "" sets none.
type Security struct {
	// AllowedHosts are canonical; requests for others get 403. None is all.
	AllowedHosts []string `json:"allowed_hosts,omitempty"`
	// HostHeaders are fields in which a proxy that the entrypoint trusts names
	// the host instead, the first one that is there.
	HostHeaders []string `json:"host_headers,omitempty"`
	// HSTS is how long browsers ask by https only (RFC 6797). It is said by
	// https, and where HSTSAlways is set by http too; 0 is not said.
	HSTS           time.Duration `json:"hsts,omitempty"`
	HSTSSubdomains bool          `json:"hsts_subdomains,omitempty"`
	HSTSPreload    bool          `json:"hsts_preload,omitempty"`
	HSTSAlways     bool          `json:"hsts_always,omitempty"`
	// FrameOptions is "DENY", "SAMEORIGIN" or what browsers once knew.
	FrameOptions string `json:"frame_options,omitempty"`
	// NoSniff has browsers believe the Content-Type.
	NoSniff bool `json:"nosniff,omitempty"`
	// XSSProtection is "1; mode=block" or "0".
	XSSProtection         string `json:"xss_protection,omitempty"`
	ContentSecurityPolicy string `json:"content_security_policy,omitempty"`
	ReferrerPolicy        string `json:"referrer_policy,omitempty"`
	PermissionsPolicy     string `json:"permissions_policy,omitempty"`
	// PublicKey is Public-Key-Pins (RFC 7469), said by https.
	PublicKey string `json:"public_key,omitempty"`
	// Development leaves out AllowedHosts, HSTS and PublicKey.
	Development bool `json:"development,omitempty"`
}

// Kind is its name in the configuration.
func (Security) Kind() string { return "security" }

// New returns the middleware.
func (s Security) New(Env) Middleware {
	m := &security{step: s}
	hsts := ""
	if seconds := int64(s.HSTS / time.Second); seconds > 0 && !s.Development {
		hsts = "max-age=" + strconv.FormatInt(seconds, 10)
		if s.HSTSSubdomains {
			hsts += "; includeSubDomains"
		}
		if s.HSTSPreload {
			hsts += "; preload"
		}
	}
	nosniff := ""
	if s.NoSniff {
		nosniff = "nosniff"
	}
	m.always = present(Header{
		{"X-Frame-Options", s.FrameOptions}, {"X-Content-Type-Options", nosniff}, {"X-XSS-Protection", s.XSSProtection},
		{"Content-Security-Policy", s.ContentSecurityPolicy}, {"Referrer-Policy", s.ReferrerPolicy}, {"Permissions-Policy", s.PermissionsPolicy},
	})
	if s.HSTSAlways {
		m.always = append(m.always, present(Header{{"Strict-Transport-Security", hsts}})...)
		hsts = ""
	}
	if !s.Development {
		m.secure = present(Header{{"Strict-Transport-Security", hsts}, {"Public-Key-Pins", s.PublicKey}})
	}
	return m
}

// present returns the lines that have a value.
func present(h Header) Header {
	return slices.DeleteFunc(h, func(f Field) bool { return f.Value == "" })
}

type security struct {
	step Security
	// always are set on each response, secure on those by https.
	always, secure Header
}

// Handle refuses foreign hosts, and will set the fields.
func (m *security) Handle(_ context.Context, r *Request) *Answer {
	secure := r.Scheme == "https"
	r.OnResponse(func(w *Response) {
		for _, f := range m.always {
			w.Header.Set(f.Name, f.Value)
		}
		for _, f := range m.secure {
			if secure {
				w.Header.Set(f.Name, f.Value)
			}
		}
	})
	if len(m.step.AllowedHosts) > 0 && !m.step.Development && !slices.Contains(m.step.AllowedHosts, m.host(r)) {
		return &Answer{Status: http.StatusForbidden, Reason: "no such host here"}
	}
	return nil
}

// host returns the host that r is for. What a field says counts only where a
// trusted proxy has told us whose request it is: anybody can write one.
func (m *security) host(r *Request) string {
	if len(r.Hops) > 1 {
		for _, name := range m.step.HostHeaders {
			if v := r.Header.Get(name); v != "" {
				host, err := route.CanonicalHost(nil, []byte(v))
				if err != nil {
					return ""
				}
				return string(host)
			}
		}
	}
	return r.Host
}

// A SecuritySection is security = {...}.
type SecuritySection struct {
	AllowedHosts []string `toml:"allowed_hosts"`
	HSTS         struct {
		MaxAge            string `toml:"max_age"`
		IncludeSubdomains bool   `toml:"include_subdomains"`
		Preload           bool   `toml:"preload"`
	} `toml:"hsts"`
	FrameOptions          string `toml:"frame_options"`
	NoSniff               bool   `toml:"nosniff"`
	XSSProtection         string `toml:"xss_protection"`
	ContentSecurityPolicy string `toml:"content_security_policy"`
	ReferrerPolicy        string `toml:"referrer_policy"`
	PermissionsPolicy     string `toml:"permissions_policy"`
}

// Parse checks s.
func (s SecuritySection) Parse(p value.Parser) Step {
	out := Security{
		HSTS:           p.Span(s.HSTS.MaxAge, "hsts.max_age", 0, time.Second, 10*365*24*time.Hour),
		HSTSSubdomains: s.HSTS.IncludeSubdomains, HSTSPreload: s.HSTS.Preload,
		FrameOptions: s.FrameOptions, NoSniff: s.NoSniff, XSSProtection: s.XSSProtection,
		ContentSecurityPolicy: s.ContentSecurityPolicy, ReferrerPolicy: s.ReferrerPolicy, PermissionsPolicy: s.PermissionsPolicy,
	}
	for i, h := range s.AllowedHosts {
		host, err := route.CanonicalHost(nil, []byte(h))
		if err != nil || strings.Contains(h, "*") {
			p.Bad(fmt.Sprintf("allowed_hosts[%d]", i), fmt.Sprintf("%q is no host: want one such as \"www.example.com\"", h))
		}
		out.AllowedHosts = append(out.AllowedHosts, string(host))
	}
	if out.HSTS == 0 && (out.HSTSSubdomains || out.HSTSPreload) {
		p.Bad("hsts.max_age", "missing: want one such as \"8760h\"")
	}
	for _, v := range []struct{ key, value string }{
		{"frame_options", s.FrameOptions}, {"xss_protection", s.XSSProtection}, {"content_security_policy", s.ContentSecurityPolicy},
		{"referrer_policy", s.ReferrerPolicy}, {"permissions_policy", s.PermissionsPolicy},
	} {
		checkValue(p, v.key, v.value)
	}
	return out
}
