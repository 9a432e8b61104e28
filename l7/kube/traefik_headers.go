package kube

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// traefikHeaders reads custom-request-headers and custom-response-headers.
func (n notes) traefikHeaders() []route.Step {
	h := middleware.Headers{
		Request:  middleware.SetOrRemove(n.fields("custom-request-headers")),
		Response: middleware.SetOrRemove(n.fields("custom-response-headers")),
	}
	if !n.has("custom-request-headers") && !n.has("custom-response-headers") {
		return nil
	}
	return []route.Step{h}
}

// fields reads "Name:value||Name:value".
func (n notes) fields(key string) map[string]string {
	if !n.has(key) {
		return nil
	}
	out := make(map[string]string)
	for part := range strings.SplitSeq(n.text(key), "||") {
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || !httpguts.ValidHeaderFieldName(name):
			n.bad(key, "%q is no field, it is left out: write Name:value, and || between two", part)
		case !httpguts.ValidHeaderFieldValue(value):
			n.bad(key, "the value of %s holds a byte that no field may hold, it is left out: correct it", name)
		default:
			out[textproto.CanonicalMIMEHeaderKey(name)] = value
		}
	}
	return out
}

// traefikSecurity reads what Traefik takes from unrolled/secure.
func (n notes) traefikSecurity() []route.Step {
	s := middleware.Security{
		HSTS:                  time.Duration(n.number("hsts-max-age", 0, 0, 1<<32)) * time.Second,
		HSTSSubdomains:        n.flag("hsts-include-subdomains", false),
		HSTSPreload:           n.flag("hsts-preload", false),
		HSTSAlways:            n.flag("force-hsts", false),
		FrameOptions:          n.line("custom-frame-options-value"),
		NoSniff:               n.flag("content-type-nosniff", false),
		XSSProtection:         n.line("custom-browser-xss-value"),
		ContentSecurityPolicy: n.line("content-security-policy"),
		ReferrerPolicy:        n.line("referrer-policy"),
		PublicKey:             n.line("public-key"),
		Development:           n.flag("is-development", false),
		HostHeaders:           n.list("proxy-headers"),
	}
	if n.flag("frame-deny", false) && s.FrameOptions == "" {
		s.FrameOptions = "DENY"
	}
	if n.flag("browser-xss-filter", false) && s.XSSProtection == "" {
		s.XSSProtection = "1; mode=block"
	}
	for _, host := range n.list("allowed-hosts") {
		c, err := canonicalHost(host)
		if err != nil || strings.HasPrefix(c, "*") {
			n.refuse("allowed-hosts", "%q is no host name: correct it", host)
			return nil
		}
		s.AllowedHosts = append(s.AllowedHosts, c)
	}
	said := n.fields("ssl-proxy-headers")
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if value := said[name]; name != "X-Forwarded-Proto" || value != "https" {
			n.bad("ssl-proxy-headers", "%s: %s is not believed: a proxy before us says https with X-Forwarded-Proto, and stands in trusted_proxies", name, value)
		}
	}
	if empty(s) {
		return nil
	}
	return []route.Step{s}
}

// empty reports whether s does nothing.
func empty(s middleware.Security) bool {
	return len(s.AllowedHosts) == 0 && s.HSTS == 0 && s.FrameOptions == "" && !s.NoSniff && s.XSSProtection == "" &&
		s.ContentSecurityPolicy == "" && s.ReferrerPolicy == "" && s.PublicKey == ""
}

// line returns a value that can stand in a field.
func (n notes) line(key string) string {
	s := n.text(key)
	if !httpguts.ValidHeaderFieldValue(s) {
		n.bad(key, "holds a byte that no field may hold, it is left out: correct it")
		return ""
	}
	return s
}
