package middleware_test

import (
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

func TestRedirect(t *testing.T) {
	https := Redirect{Scheme: "https"}
	scheme := Redirect{Regexp: `^http://(.*)$`, Replacement: "https://${1}"}
	for _, c := range []struct {
		name  string
		steps []Step
		in    string
		want  string
	}{
		{"to https", []Step{https}, "GET http://example.com/a%2Fb/?q=1&r", "302\nLocation: https://example.com/a%2Fb/?q=1&r"},
		{"is there", []Step{https}, "GET https://example.com:8443/", "GET example.com:8443 /"},
		{"loses the port", []Step{https}, "GET http://example.com:8080/", "302\nLocation: https://example.com/"},
		{"to a port", []Step{Redirect{Scheme: "https", Port: 8443}}, "GET http://example.com/", "302\nLocation: https://example.com:8443/"},
		{"at another port of the scheme", []Step{Redirect{Scheme: "https", Port: 8443}}, "GET https://example.com/", "GET example.com /"},
		{"to the scheme's port", []Step{Redirect{Scheme: "https", Port: 443}}, "GET http://example.com/", "302\nLocation: https://example.com/"},
		{"IPv6", []Step{https}, "GET http://[2001:DB8::1]:80/", "302\nLocation: https://[2001:db8::1]/"},
		{"POST", []Step{https}, "POST http://example.com/", "307\nLocation: https://example.com/"},
		{"permanent", []Step{Redirect{Scheme: "https", Permanent: true}}, "HEAD http://example.com/", "301\nLocation: https://example.com/"},
		{"permanent POST", []Step{Redirect{Scheme: "https", Permanent: true}}, "POST http://example.com/", "308\nLocation: https://example.com/"},
		{"fixed status", []Step{Redirect{Scheme: "https", Permanent: true, Status: 303}}, "POST http://example.com/", "303\nLocation: https://example.com/"},
		{"entrypoint", []Step{Redirect{Scheme: "https", Entrypoint: "http"}}, "GET http://example.com/", "GET example.com /"},
		{"host", []Step{Redirect{Host: "new.example.com"}}, "GET http://example.com:8080/a", "302\nLocation: http://new.example.com:8080/a"},
		{"same host", []Step{Redirect{Host: "example.com"}}, "GET http://EXAMPLE.com./a", "GET EXAMPLE.com. /a"},
		{"add www", []Step{Redirect{WWW: "add"}}, "GET https://example.com/a", "302\nLocation: https://www.example.com/a"},
		{"has www", []Step{Redirect{WWW: "add"}}, "GET https://www.example.com/a", "GET www.example.com /a"},
		{"remove www", []Step{Redirect{WWW: "remove", Scheme: "https"}}, "GET http://www.example.com/a", "302\nLocation: https://example.com/a"},
		{"without host", []Step{https}, "GET http:///a", "400"},

		{"behind a strip", []Step{Rewrite{StripPrefix: []string{"/app"}}, https}, "GET http://example.com/app/x?q", "302\nLocation: https://example.com/app/x?q"},
		{"behind two rewrites", []Step{Rewrite{StripPrefix: []string{"/app"}}, Rewrite{AddPrefix: "/v2"}, https}, "GET http://example.com/app/x", "302\nLocation: https://example.com/app/x"},

		{"expression", []Step{scheme}, "GET http://example.com:81/a?b", "302\nLocation: https://example.com:81/a?b"},
		{"no match", []Step{scheme}, "GET https://example.com/", "GET example.com /"},
		{"matches and is there", []Step{Redirect{Regexp: "^(.*)$", Replacement: "$1"}}, "GET https://example.com/", "GET example.com /"},
		{"expression to a path", []Step{Redirect{Regexp: "^http://[^/]+/old/(.*)$", Replacement: "/new/$1"}}, "GET http://example.com/old/a", "302\nLocation: /new/a"},
		{"what a client says is no host", []Step{Redirect{Regexp: "^http://[^/]+/old/(.*)$", Replacement: "//$1"}}, "GET http://example.com/old/evil.example", "400"},
		{"nor a scheme", []Step{Redirect{Regexp: "^http://[^/]+/old/(.*)$", Replacement: "$1"}}, "GET http://example.com/old/javascript:alert(1)", "400"},
		{"bytes without a place in a URL", []Step{Redirect{Regexp: "^.*$", Replacement: "/ü\"\r\n\\"}}, "GET http://example.com/", "302\nLocation: /%C3%BC%22%0D%0A%5C"},

		{"app root", []Step{Redirect{From: "/", To: "/app"}}, "GET http://example.com/?q", "302\nLocation: /app"},
		{"below the app root", []Step{Redirect{From: "/", To: "/app"}}, "GET http://example.com/x", "GET example.com /x"},
		{"app root is the root", []Step{Redirect{To: "/app"}}, "GET http://example.com/app", "GET example.com /app"},
		{"to a URL", []Step{Redirect{To: "https://example.org/x", Status: 301}}, "POST http://example.com/y", "301\nLocation: https://example.org/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exchange(chain(c.steps...), read(t, c.in), ""); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestRedirectPort: only the port that stands beside our own host counts.
func TestRedirectPort(t *testing.T) {
	for said, want := range map[string]string{
		"example.com:81":      "302\nLocation: http://new.example:81/",
		"evil.example:81":     "302\nLocation: http://new.example/",
		"example.com:99999":   "302\nLocation: http://new.example/",
		"example.com:81, b:1": "302\nLocation: http://new.example/",
	} {
		r := read(t, "GET http://example.com/")
		r.Header.Set("X-Forwarded-Host", said)
		if got := exchange(chain(Redirect{Host: "new.example"}), r, ""); got != want {
			t.Errorf("%s: got %s, want %s", said, got, want)
		}
	}
}

func TestRedirectSection(t *testing.T) {
	port := func(n int) *int { return &n }
	for _, c := range []struct {
		in   RedirectSection
		want string
	}{
		{RedirectSection{Scheme: "https", Port: port(8443), Permanent: true}, ""},
		{RedirectSection{Regex: "^http://(.*)", Replacement: "https://$1"}, ""},
		{RedirectSection{From: "/", To: "/app"}, ""},
		{RedirectSection{}, ": leads nowhere: want scheme, host, www or port; or regex with replacement; or to"},
		{RedirectSection{Host: "a", To: "/"}, ": leads to two places: want scheme, host, www and port; or regex with replacement; or to"},
		{RedirectSection{Regex: "a", Replacement: "b", To: "/"}, ": leads to two places: want scheme, host, www and port; or regex with replacement; or to"},
		{RedirectSection{Regex: "a"}, "replacement: regex and replacement belong together"},
		{RedirectSection{Host: "a", From: "/"}, "from: belongs to to, which is missing"},
		{RedirectSection{Host: "a", WWW: "add"}, "www: stands beside host: leave out one of them"},
		{RedirectSection{To: "example.com/"}, `to: "example.com/" is no URL: want one such as "https://example.com/", or a path`},
		{RedirectSection{To: "//example.com/"}, `to: "//example.com/" is no URL: want one such as "https://example.com/", or a path`},
		{RedirectSection{Scheme: "ftp"}, `scheme: "ftp" is not allowed: want one of http, https`},
		{RedirectSection{Port: port(0)}, "port: 0 is out of range: allowed are 1 to 65535"},
		{RedirectSection{Host: "*.a"}, `host: "*.a" is no host: want one such as "www.example.com", its port in port`},
		{RedirectSection{To: "/", Status: 200}, "status: 200 is no redirect: want one of 301, 302, 303, 307, 308"},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
