package proxy_test

import (
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// TestEntryAnswers shows what an entrypoint answers by itself: the question
// about the whole server, the way to another entrypoint, and challenges.
func TestEntryAnswers(t *testing.T) {
	o := proxy.Options{Challenge: func(host, token string) (string, bool) {
		return "proof of " + host, token == "known"
	}}
	const challenge = "/.well-known/acme-challenge/"
	for _, tc := range []struct {
		redirect             proxy.Redirect
		request              string
		status               int
		field, want, content string
	}{
		{proxy.Redirect{}, "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", 204, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", ""},
		{proxy.Redirect{Scheme: "https", Port: 443}, "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", 204, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", ""},
		{proxy.Redirect{Scheme: "https", Port: 443}, "GET /a/../b?c=%20d HTTP/1.1\r\nHost: ANY.example.:80\r\n\r\n", 301, "Location", "https://any.example/b?c=%20d", ""},
		{proxy.Redirect{Scheme: "https", Port: 8443}, "HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 301, "Location", "https://[::1]:8443/", ""},
		{proxy.Redirect{Scheme: "http", Port: 80}, "POST /p HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi", 308, "Location", "http://example.com/p", ""},
		{proxy.Redirect{Scheme: "https", Port: 80}, "GET http://example.com HTTP/1.1\r\nHost: other\r\n\r\n", 301, "Location", "https://example.com:80/", ""},
		{proxy.Redirect{Scheme: "https", Port: 443}, "GET / HTTP/1.0\r\n\r\n", 400, "", "", ""},
		{proxy.Redirect{}, "GET " + challenge + "known HTTP/1.1\r\nHost: Any.example\r\n\r\n", 200, "Content-Type", "text/plain", "proof of any.example"},
		{proxy.Redirect{Scheme: "https", Port: 443}, "GET " + challenge + "known HTTP/1.1\r\nHost: example.com\r\n\r\n", 200, "", "", "proof of example.com"},
		{proxy.Redirect{Scheme: "https", Port: 443}, "POST " + challenge + "known HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n", 200, "", "", "POST " + challenge + "known example.com\n"},
		{proxy.Redirect{Scheme: "https", Port: 443}, "GET " + challenge + "other HTTP/1.1\r\nHost: example.com\r\n\r\n", 200, "", "", "GET " + challenge + "other example.com\n"},
		{proxy.Redirect{Scheme: "https", Port: 443}, "GET " + challenge + "other HTTP/1.1\r\nHost: unknown.example\r\n\r\n", 404, "", "", ""},
	} {
		e := start(t, o, proxy.Entrypoint{Redirect: tc.redirect}, handler(t, tell))
		method, _, _ := strings.Cut(tc.request, " ")
		resp, body := e.dial(t).say(tc.request).hear(method)
		if resp.StatusCode != tc.status || resp.Header.Get(tc.field) != tc.want || !strings.HasPrefix(body, tc.content) {
			t.Errorf("%+v %q: got %v %q", tc.redirect, tc.request, resp, body)
		}
	}
}
