package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// TestErrorPages checks which responses get a page, and what of them is kept.
func TestErrorPages(t *testing.T) {
	pages := ErrorPages{Statuses: []Statuses{{404, 404}, {500, 599}}, Backend: route.Backend{Namespace: "shop", Service: "pages", Port: "80"}, Query: "/{status}.html?u={url}"}
	nginx := pages
	nginx.Nginx, nginx.Query = true, ""
	for _, tc := range []struct {
		name    string
		step    ErrorPages
		service *service
		r       Request
		status  int
		want    string // "" as it was
	}{
		{name: "in a range", step: pages, service: says(200, "sorry", "Content-Type", "text/html", "Set-Cookie", "a=b", "ETag", `"x"`, "Connection", "close"), status: 503,
			want: "503 sorry [{Content-Type text/html} {Retry-After 7} {Set-Cookie s=1}]"},
		{name: "one alone", step: pages, service: says(404, "gone"), status: 404, want: "404 gone [{Retry-After 7} {Set-Cookie s=1}]"},
		{name: "not in a range", step: pages, service: says(200, "sorry"), status: 403},
		{name: "the page fails", step: pages, service: says(500, "oh"), status: 503},
		{name: "the page is not found", step: pages, service: says(404, "no"), status: 503},
		{name: "empty", step: pages, service: says(200, ""), status: 503},
		{name: "long", step: pages, service: says(200, strings.Repeat("x", 1<<20+1)), status: 503},
		{name: "down", step: pages, service: &service{answer: func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }}, status: 503},
		{name: "gRPC", step: pages, service: says(200, "sorry"), r: Request{GRPC: true}, status: 503},
		{name: "its own status", step: nginx, service: says(418, "tea"), status: 503, want: "418 tea [{Retry-After 7} {Set-Cookie s=1}]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &Response{Status: tc.status, Length: 1, Header: Header{{"Retry-After", "7"}, {"Set-Cookie", "s=1"}, {"Content-Type", "text/x"}, {"X-Trace", "1"}}}
			if a := tc.step.New(tc.service.env()).Handle(t.Context(), &tc.r); a != nil {
				t.Fatalf("answer %+v", a)
			}
			tc.r.Respond(w)
			got := ""
			if a := w.Replaced(); a != nil {
				got = fmt.Sprintf("%d %s %v", a.Status, a.Body, a.Header)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestErrorPagesAsk checks what the backend is told: nothing of who asks.
func TestErrorPagesAsk(t *testing.T) {
	step := ErrorPages{Statuses: []Statuses{{500, 599}}, Query: "/{status}.html?u={url}", Headers: []Field{{"X-Namespace", "shop"}}}
	for _, tc := range []struct {
		nginx bool
		want  []string
	}{
		{false, []string{"Accept: text/html", "X-Forwarded-Host: shop.example.com", "X-Forwarded-Proto: https", "X-Namespace: shop"}},
		{true, []string{"Accept: text/html", "X-Forwarded-Host: shop.example.com", "X-Forwarded-Proto: https", "X-Namespace: shop",
			"X-Code: 503", "X-Format: text/html", "X-Original-Uri: /a?b=c&d"}},
	} {
		step.Nginx = tc.nginx
		s := says(200, "sorry")
		r := &Request{Method: "POST", Scheme: "https", Authority: "shop.example.com", Path: "/a", Query: "?b=c&d", Header: Header{
			{"accept", "text/html"}, {"Authorization", "Basic x"}, {"Cookie", "s=1"}, {"X-Api-Key", "x"}}}
		step.New(s.env()).Handle(t.Context(), r)
		r.Header = nil // as it may be by then
		r.Respond(&Response{Status: 503})
		got := lines(s.asked.Header)
		slices.Sort(got)
		slices.Sort(tc.want)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Error(diff)
		}
		if got, want := s.asked.Method+" "+s.asked.Host+s.asked.URL.String(), "GET shop.example.com/503.html?u=https%3A%2F%2Fshop.example.com%2Fa%3Fb%3Dc%26d"; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
}

// TestErrorPagesCheck checks what cannot be used.
func TestErrorPagesCheck(t *testing.T) {
	b := route.Backend{Service: "a"}
	all := []Statuses{{500, 599}}
	for _, tc := range []struct {
		step ErrorPages
		want string
	}{
		{ErrorPages{Statuses: all, Backend: b}, ""},
		{ErrorPages{Statuses: all, Backend: b, Query: "/{status}?a"}, ""},
		{ErrorPages{Backend: b}, "statuses: which are to have a page?"},
		{ErrorPages{Statuses: all}, "backend: who makes the pages?"},
		{ErrorPages{Statuses: all, Backend: b, Query: "{status}.html"}, `query: "{status}.html" is no path: want such as "/{status}.html"`},
		{ErrorPages{Statuses: all, Backend: b, Query: "//evil/"}, `query: "//evil/" is no path: want such as "/{status}.html"`},
		{ErrorPages{Statuses: all, Backend: b, Query: "http://a/"}, `query: "http://a/" is no path: want such as "/{status}.html"`},
	} {
		got := ""
		if err := tc.step.Check(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.step, got, tc.want)
		}
	}
	for s, want := range map[string]Statuses{"404": {404, 404}, "500-599": {500, 599}, " 400 - 404 ": {400, 404}, "200": {}, "599-500": {}, "500-600": {}, "5xx": {}, "-": {}, "": {}} {
		if got, err := ParseStatuses(s); got != want || (err == nil) != (want != Statuses{}) {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
}
