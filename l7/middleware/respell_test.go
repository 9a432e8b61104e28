package middleware_test

import (
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

// TestRespell shows what becomes of an endpoint's redirects and cookies.
func TestRespell(t *testing.T) {
	step := Respell{
		Location:     Spelling{"http://inside.example/", "/app/"},
		CookiePath:   Spelling{"/", "/app/"},
		CookieDomain: Spelling{"inside.example", "shop.example"},
	}
	for in, want := range map[string]string{
		"Location: http://inside.example/a?b":        "Location: /app/a?b",
		"Location: http://inside.example.evil/":      "Location: http://inside.example.evil/",
		"Location: /http://inside.example/":          "Location: /http://inside.example/",
		"Set-Cookie: a=b; path=/x; Secure":           "Set-Cookie: a=b; path=/app/x; Secure",
		"Set-Cookie: path=/; Domain=.Inside.example": "Set-Cookie: path=/; Domain=shop.example",
		"Set-Cookie: a=b; Domain=x.inside.example":   "Set-Cookie: a=b; Domain=x.inside.example",
		"X-Location: http://inside.example/":         "X-Location: http://inside.example/",
	} {
		if got := exchange(chain(step), read(t, "GET http://shop.example/"), "302\n"+in); got != "302\n"+want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	if got := exchange(chain(Respell{}), read(t, "GET http://shop.example/"), "302\nLocation: /a"); got != "302\nLocation: /a" {
		t.Errorf("nothing asked for: got %q", got)
	}
}
