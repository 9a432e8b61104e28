package middleware_test

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

func TestSecurity(t *testing.T) {
	all := Security{
		HSTS: time.Hour, HSTSSubdomains: true, HSTSPreload: true, FrameOptions: "DENY", NoSniff: true, XSSProtection: "0",
		ContentSecurityPolicy: "default-src 'self'", ReferrerPolicy: "no-referrer", PermissionsPolicy: "camera=()", PublicKey: "pin",
	}
	const always = "200\nX-Frame-Options: DENY\nX-Content-Type-Options: nosniff\nX-XSS-Protection: 0\n" +
		"Content-Security-Policy: default-src 'self'\nReferrer-Policy: no-referrer\nPermissions-Policy: camera=()"
	develop := all
	develop.Development = true
	for _, c := range []struct {
		name string
		step Security
		in   string
		want string
	}{
		{"nothing", Security{}, "GET https://a/", "200\nX-Frame-Options: ALLOW"},
		{"by http", all, "GET http://a/", always},
		{"by https", all, "GET https://a/", always + "\nStrict-Transport-Security: max-age=3600; includeSubDomains; preload\nPublic-Key-Pins: pin"},
		{"in development", develop, "GET https://a/", always},
		{"HSTS by http", Security{HSTS: time.Minute, HSTSAlways: true}, "GET http://a/", "200\nX-Frame-Options: ALLOW\nStrict-Transport-Security: max-age=60"},
		{"HSTS alone", Security{HSTS: time.Minute}, "GET https://a/", "200\nX-Frame-Options: ALLOW\nStrict-Transport-Security: max-age=60"},
		{"host", Security{AllowedHosts: []string{"a"}}, "GET https://A:8443/", "200\nX-Frame-Options: ALLOW"},
		{"foreign host", Security{AllowedHosts: []string{"a"}, FrameOptions: "DENY"}, "GET https://b/", "403\nX-Frame-Options: DENY"},
		{"foreign host in development", Security{AllowedHosts: []string{"a"}, Development: true}, "GET https://b/", "200\nX-Frame-Options: ALLOW"},
		{"host that a client says", Security{AllowedHosts: []string{"a"}, HostHeaders: []string{"X-Host"}}, "GET https://b/\nX-Host: a", "403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exchange(chain(c.step), read(t, c.in), "200\nX-Frame-Options: ALLOW"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestSecurityHostHeaders: a proxy that is trusted may say which host it was.
func TestSecurityHostHeaders(t *testing.T) {
	c := chain(Security{AllowedHosts: []string{"a"}, HostHeaders: []string{"X-Host", "X-Other"}})
	for in, want := range map[string]string{
		"GET https://b/\nX-Other: A:443":        "200",
		"GET https://b/\nX-Host: b\nX-Other: a": "403",
		"GET https://a/\nX-Host: a, b":          "403",
		"GET https://a/":                        "200",
	} {
		r := read(t, in)
		r.Hops = []netip.Addr{r.Peer, netip.MustParseAddr("198.51.100.7")}
		if got := exchange(c, r, "200"); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestSecuritySection(t *testing.T) {
	var preload SecuritySection
	preload.HSTS.Preload = true
	for _, c := range []struct {
		in   SecuritySection
		want string
	}{
		{SecuritySection{AllowedHosts: []string{"A"}, FrameOptions: "DENY"}, ""},
		{SecuritySection{AllowedHosts: []string{"*.a", "b/c"}},
			"allowed_hosts[0]: \"*.a\" is no host: want one such as \"www.example.com\"\n" +
				"allowed_hosts[1]: \"b/c\" is no host: want one such as \"www.example.com\""},
		{preload, `hsts.max_age: missing: want one such as "8760h"`},
		{SecuritySection{ReferrerPolicy: "a\nb"}, `referrer_policy: "a\nb" is no value of a field: it holds control characters, or blanks at its ends`},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
