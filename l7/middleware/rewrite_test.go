package middleware_test

import (
	"strings"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

func TestRewrite(t *testing.T) {
	app := []string{"/app"}
	for _, c := range []struct {
		name string
		step Rewrite
		in   string
		want string
	}{
		{"strip", Rewrite{StripPrefix: app}, "GET http://a/app/x?q", "GET a /x?q\nX-Forwarded-Prefix: /app"},
		{"strip all", Rewrite{StripPrefix: app}, "GET http://a/app", "GET a /\nX-Forwarded-Prefix: /app"},
		{"strip the slash too", Rewrite{StripPrefix: []string{"/app/"}}, "GET http://a/app", "GET a /\nX-Forwarded-Prefix: /app"},
		{"strip elements", Rewrite{StripPrefix: app}, "GET http://a/apple", "GET a /apple"},
		{"strip characters", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/apple", "GET a /le\nX-Forwarded-Prefix: /app"},
		{"strip one of several", Rewrite{StripPrefix: []string{"/b", "/app/x"}}, "GET http://a/app/x/y", "GET a /y\nX-Forwarded-Prefix: /app/x"},
		{"strip nothing", Rewrite{StripPrefix: []string{"/"}}, "GET http://a/x", "GET a /x"},
		{"behind a trusted proxy's strip", Rewrite{StripPrefix: app}, "GET http://a/app/x\nX-Forwarded-Prefix: /outer/", "GET a /x\nX-Forwarded-Prefix: /outer/app"},
		{"encoded slash is no element", Rewrite{StripPrefix: app}, "GET http://a/app%2Fx", "GET a /app%2Fx"},
		{"bare prefix", Rewrite{StripPrefix: app, Slash: true}, "GET http://a/app?q", "302\nLocation: /app/?q"},
		{"prefix with its slash", Rewrite{StripPrefix: app, Slash: true}, "GET http://a/app/?q", "GET a /?q\nX-Forwarded-Prefix: /app"},
		{"bare prefix of POST", Rewrite{StripPrefix: app, Slash: true}, "POST http://a/app", "307\nLocation: /app/"},
		{"add", Rewrite{AddPrefix: "/v2"}, "GET http://a/x?q", "GET a /v2/x?q"},
		{"strip and add", Rewrite{StripPrefix: app, AddPrefix: "/v2"}, "GET http://a/app", "GET a /v2/\nX-Forwarded-Prefix: /app"},
		{"path", Rewrite{Path: "/one", Tell: true}, "GET http://a/x?q", "GET a /one?q\nX-Replaced-Path: /x"},
		{"what the client says of it", Rewrite{Regexp: "^/b", Replacement: "/c", Tell: true}, "GET http://a/x\nX-Replaced-Path: /evil", "GET a /x"},
		{"expression", Rewrite{Regexp: "^/app(.*)", Replacement: "/v2$1"}, "GET http://a/app/x?q", "GET a /v2/x?q"},
		{"expression with an empty group", Rewrite{Regexp: "^/app(/|$)(.*)", Replacement: "/$2"}, "GET http://a/app", "GET a /"},
		{"expression that doubles a slash", Rewrite{Regexp: "^/app(.*)", Replacement: "/v2/$1"}, "GET http://a/app/x", "GET a /v2/x"},
		{"expression without a slash", Rewrite{Regexp: "^/app/(.*)", Replacement: "$1"}, "GET http://a/app/x", "GET a /x"},
		{"expression to a query", Rewrite{Regexp: "^/id/(.*)", Replacement: "/get?id=$1"}, "GET http://a/id/7?q", "GET a /get?id=7&q"},
		{"expression to the only query", Rewrite{Regexp: "^/id/(.*)", Replacement: "/get?id=$1"}, "GET http://a/id/7", "GET a /get?id=7"},

		// What is in no path may not come into one (CVE-2025-66490,
		// CVE-2026-40912, CVE-2026-48020, CVE-2026-65600, CVE-2026-67309).
		{"dots behind a prefix", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/app../admin", "400"},
		{"one dot behind a prefix", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/app./admin", "400"},
		{"encoded dots behind a prefix", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/app%2e%2e/admin", "400"},
		{"hidden dots behind a prefix", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/app..%2fadmin", "400"},
		{"dots of parameters", Rewrite{StripPrefix: app, Characters: true}, "GET http://a/app..;x/admin", "400"},
		{"dots of a group", Rewrite{Regexp: "^/x(.*)", Replacement: "/$1"}, "GET http://a/x../admin", "400"},
		{"dots of two groups", Rewrite{Regexp: "^/(.)x(.)(.*)", Replacement: "/$1$2$3"}, "GET http://a/.x./admin", "400"},
		{"dots of an escape of two groups", Rewrite{Regexp: "^/(%2)F(.*)", Replacement: "/$1$2"}, "GET http://a/%2FE./admin", "400"},
		{"half an escape", Rewrite{Regexp: "^/(..).*", Replacement: "/$1"}, "GET http://a/%2F", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exchange(chain(c.step), read(t, c.in), ""); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestRewriteRestore: what the endpoint tells a browser leads back through the
// prefix.
func TestRewriteRestore(t *testing.T) {
	c := chain(Rewrite{StripPrefix: []string{"/app"}, Restore: true})
	for in, want := range map[string]string{
		"302\nLocation: /login?a=/b":                  "302\nLocation: /app/login?a=/b",
		"302\nLocation: /":                            "302\nLocation: /app/",
		"302\nLocation: login":                        "302\nLocation: login",
		"302\nLocation: /app/login":                   "302\nLocation: /app/login",
		"302\nLocation: /apple":                       "302\nLocation: /app/apple",
		"302\nLocation: https://example.com/x?y":      "302\nLocation: https://example.com/app/x?y",
		"302\nLocation: https://EXAMPLE.com:8443/x":   "302\nLocation: https://EXAMPLE.com:8443/app/x",
		"302\nLocation: https://example.org/x":        "302\nLocation: https://example.org/x",
		"302\nLocation: //example.org/x":              "302\nLocation: //example.org/x",
		"302\nLocation: https://example.com":          "302\nLocation: https://example.com",
		"200\nSet-Cookie: a=/; Path=/; HttpOnly":      "200\nSet-Cookie: a=/; Path=/app; HttpOnly",
		"200\nset-cookie: a=b;path=/x/":               "200\nset-cookie: a=b;path=/app/x/",
		"200\nSet-Cookie: a=b; Path=/app/x":           "200\nSet-Cookie: a=b; Path=/app/x",
		"200\nSet-Cookie: a=b\nSet-Cookie: Path=/; c": "200\nSet-Cookie: a=b\nSet-Cookie: Path=/; c",
		"200\nX-Other: /x":                            "200\nX-Other: /x",
	} {
		if got := exchange(c, read(t, "GET https://example.com:8443/app/x"), in); got != want {
			t.Errorf("%s\nbecame\n%s\nwant\n%s", in, got, want)
		}
	}
	if got := exchange(c, read(t, "GET https://example.com/x"), "302\nLocation: /login"); got != "302\nLocation: /login" {
		t.Errorf("without the prefix: %s", got)
	}
	// What a middleware answers is meant for the client.
	c = chain(Rewrite{StripPrefix: []string{"/app"}, Restore: true}, Redirect{To: "/signin"})
	if got := exchange(c, read(t, "GET https://example.com/app"), ""); got != "302\nLocation: /signin" {
		t.Errorf("an answer of ours: %s", got)
	}
}

func TestRewriteSection(t *testing.T) {
	for _, c := range []struct {
		in   RewriteSection
		want string
	}{
		{RewriteSection{StripPrefix: []string{"/a//b"}, RedirectToSlash: true, RestorePrefix: true, AddPrefix: "/c/"}, ""},
		{RewriteSection{Regex: "^/a", Replacement: "$1"}, ""},
		{RewriteSection{}, ": rewrites nothing: want strip_prefix, add_prefix, path, or regex with replacement"},
		{RewriteSection{StripPrefix: []string{"/a", "b"}}, `strip_prefix[1]: "b": path does not start with a slash`},
		{RewriteSection{Path: "/a?b"}, `path: "/a?b": path holds a byte that must be percent-encoded`},
		{RewriteSection{Path: "/a", RedirectToSlash: true}, "redirect_to_slash: belongs to strip_prefix, which is missing"},
		{RewriteSection{Path: "/a", RestorePrefix: true}, "restore_prefix: belongs to strip_prefix, which is missing"},
		{RewriteSection{Regex: "^/a"}, "replacement: regex and replacement belong together"},
		{RewriteSection{Regex: "^/a", Replacement: "a"}, `replacement: "a" is no path: it begins with a slash, or with a group`},
		{RewriteSection{Regex: "(", Replacement: "/a"}, "regex: \"(\" is no regular expression: error parsing regexp: missing closing ): `(`"},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

// FuzzRewrite: whatever a client asks for, the endpoint gets a canonical path.
func FuzzRewrite(f *testing.F) {
	for _, path := range []string{"/app../x", "/app/x", "/app%2e%2e/", "/app..%2f", "/%2FE./", "/app..;/"} {
		f.Add(path)
	}
	c := chain(
		Rewrite{StripPrefix: []string{"/app", "/x"}, Characters: true},
		Rewrite{Regexp: "^/(.)(.?)a(.*)", Replacement: "/${3}b$1$2"},
		Rewrite{AddPrefix: "/v2"},
	)
	f.Fuzz(func(t *testing.T, path string) {
		canonical, err := route.CanonicalPath(nil, []byte(path))
		if err != nil {
			return
		}
		r := &Request{Method: "GET", Scheme: "http", Host: "a", Path: string(canonical)}
		if c.Handle(t.Context(), r) != nil {
			return
		}
		if again, err := route.CanonicalPath(nil, []byte(r.Path)); err != nil || string(again) != r.Path {
			t.Fatalf("%q became %q, whose canonical form is %q (%v)", path, r.Path, again, err)
		}
		if asked, _ := r.Asked(); asked != string(canonical) {
			t.Fatalf("%q was asked for as %q", path, asked)
		}
	})
}

// FuzzRestore: of what an endpoint says, nothing but the prefix changes.
func FuzzRestore(f *testing.F) {
	for _, v := range []string{"/x", "https://example.com/x?a://b", "://", "a=b; Path=/; path =/x", ";=;Path=", "//a"} {
		f.Add(v)
	}
	c := chain(Rewrite{StripPrefix: []string{"/app"}, Restore: true})
	f.Fuzz(func(t *testing.T, v string) {
		r := &Request{Method: "GET", Scheme: "https", Host: "example.com", Authority: "example.com", Path: "/app/x"}
		c.Handle(t.Context(), r)
		w := &Response{Header: Header{{"Location", v}, {"Set-Cookie", v}}}
		r.Respond(w)
		if got := w.Header[0].Value; got != v && strings.Replace(got, "/app", "", 1) != v {
			t.Errorf("Location %q became %q", v, got)
		}
		parts := strings.Count(v, ";")
		if got := w.Header[1].Value; strings.Count(got, ";") != parts || len(got) > len(v)+parts*len("/app") {
			t.Errorf("Set-Cookie %q became %q", v, got)
		}
	})
}
