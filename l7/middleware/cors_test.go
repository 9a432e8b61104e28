package middleware_test

import (
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

func TestCORS(t *testing.T) {
	named := CORS{
		Origins: []string{"https://shop.example", "https://*.example.com", "null"}, OriginPatterns: []string{`http://dev-\d+\.test`},
		Methods: []string{"GET", "PUT"}, Headers: []string{"X-A", "X-B"}, Expose: []string{"X-C"}, Credentials: true, MaxAge: time.Hour,
	}
	all := CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"*"}}
	const ask = "OPTIONS https://a/\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Headers: x-q\nOrigin: "
	const vary = "\nVary: Access-Control-Request-Method, Access-Control-Request-Headers"
	const granted = "\nAccess-Control-Allow-Credentials: true"
	const may = vary + "\nAccess-Control-Allow-Methods: GET, PUT\nAccess-Control-Allow-Headers: X-A, X-B\nAccess-Control-Max-Age: 3600"
	grants := func(status, origin string) string {
		return status + "\nVary: Origin\nAccess-Control-Allow-Origin: " + origin + granted
	}
	for _, c := range []struct {
		name string
		step CORS
		in   string
		want string
	}{
		{"asks", named, ask + "https://shop.example", grants("204", "https://shop.example") + may},
		{"asks from nowhere known", named, ask + "https://evil.example", "204\nVary: Origin" + vary},
		{"asks one that all may", all, ask + "https://x.example", "204\nAccess-Control-Allow-Origin: *" + vary + "\nAccess-Control-Allow-Methods: GET\nAccess-Control-Allow-Headers: x-q"},
		{"OPTIONS that asks nothing", named, "OPTIONS https://a/\nOrigin: https://evil.example", "200\nX-A: 1\nVary: Origin"},
		{"no origin", named, "GET https://a/", "200\nX-A: 1\nVary: Origin"},
		{"origin", named, "GET https://a/\nOrigin: https://shop.example", "200\nX-A: 1" + grants("", "https://shop.example") + "\nAccess-Control-Expose-Headers: X-C"},
		{"label", named, "GET https://a/\nOrigin: https://X.example.com", "200\nX-A: 1" + grants("", "https://X.example.com") + "\nAccess-Control-Expose-Headers: X-C"},
		{"two labels", named, "GET https://a/\nOrigin: https://x.y.example.com", "200\nX-A: 1\nVary: Origin"},
		{"no label", named, "GET https://a/\nOrigin: https://.example.com", "200\nX-A: 1\nVary: Origin"},
		{"label of another scheme", named, "GET https://a/\nOrigin: http://x.example.com", "200\nX-A: 1\nVary: Origin"},
		{"port", named, "GET https://a/\nOrigin: https://shop.example:444", "200\nX-A: 1\nVary: Origin"},
		{"suffix", named, "GET https://a/\nOrigin: https://shop.example.evil.example", "200\nX-A: 1\nVary: Origin"},
		{"expression", named, "GET https://a/\nOrigin: http://dev-7.test", "200\nX-A: 1" + grants("", "http://dev-7.test") + "\nAccess-Control-Expose-Headers: X-C"},
		{"part of an expression", named, "GET https://a/\nOrigin: http://dev-7.test.evil.example", "200\nX-A: 1\nVary: Origin"},
		{"one", CORS{Origins: []string{"https://b"}}, "GET https://a/\nOrigin: https://c", "200\nX-A: 1\nVary: Origin"},
		{"all", all, "GET https://a/\nOrigin: https://x.example", "200\nX-A: 1\nAccess-Control-Allow-Origin: *"},
		{"all, by name", CORS{Origins: []string{"*", "https://b"}, Credentials: true}, "GET https://a/\nOrigin: https://b", "200\nX-A: 1" + grants("", "https://b")},
		{"all, with rights for nobody", CORS{Origins: []string{"*"}, Credentials: true}, "GET https://a/\nOrigin: https://b", "200\nX-A: 1\nAccess-Control-Allow-Origin: *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What the endpoint says of it itself does not count.
			got := exchange(chain(c.step), read(t, c.in), "200\naccess-control-allow-origin: https://evil.example\nX-A: 1\nAccess-Control-Allow-Credentials: true")
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestCORSSection(t *testing.T) {
	for _, c := range []struct {
		in   CORSSection
		want string
	}{
		{CORSSection{Origins: []string{"https://A.example:8443", "*", "null"}, Headers: []string{"*"}}, ""},
		{CORSSection{OriginPatterns: []string{"https://.*"}}, ""},
		{CORSSection{}, ": allows no origin: want origins, or origin_patterns"},
		{CORSSection{Origins: []string{"a.example", "https://a/", "https://a.*.b"}},
			"origins[0]: \"a.example\" is no origin: want one such as \"https://example.com\", \"https://*.example.com\", \"*\"\n" +
				"origins[1]: \"https://a/\" is no origin: want one such as \"https://example.com\", \"https://*.example.com\", \"*\"\n" +
				"origins[2]: \"https://a.*.b\" is no origin: want one such as \"https://example.com\", \"https://*.example.com\", \"*\""},
		{CORSSection{Origins: []string{"*"}, Credentials: true}, "credentials: would give every page the user's rights: name the origins instead of \"*\""},
		{CORSSection{Origins: []string{"*"}, Expose: []string{"X A"}}, `expose[0]: "X A" is no name`},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
