package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// A service answers what a middleware asks, and remembers the question.
type service struct {
	asked  *http.Request
	answer func(*http.Request) (*http.Response, error)
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = r
	return s.answer(r)
}

func (s *service) env() Env {
	e := env()
	e.Transport = func(route.Backend) http.RoundTripper { return s }
	return e
}

// says is a service that always gives the same answer.
func says(status int, body string, fields ...string) *service {
	return &service{answer: func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}}
}

// asking is a request whose client says more of itself than it should.
func asking() *Request {
	r := &Request{
		Method: "POST", Host: "shop.example.com", Authority: "shop.example.com:8443", Path: "/a b", Query: "?q=1&r", Scheme: "https",
		Client: netip.MustParseAddr("192.0.2.7"), Peer: netip.MustParseAddr("192.0.2.7"),
		Header: Header{
			{"Cookie", "session=1"}, {"Content-Type", "text/plain"}, {"If-None-Match", "x"}, {"Range", "bytes=0-1"},
			{"X-Original-Url", "/public"}, {"x_original_url", "/public"}, {"X-Auth-Request-Redirect", "/public"},
			{"X-Auth-User", "admin"}, {"x_auth_user", "admin"}, {"X-Auth.User", "admin"},
			{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Prefix", "/x"},
		},
	}
	r.Path = "/a%20b"
	return r
}

func lines(h http.Header) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		out = append(out, name+": "+strings.Join(h[name], " | "))
	}
	return out
}

// TestForwardAuthAsks checks what the service is told.
func TestForwardAuthAsks(t *testing.T) {
	own := []string{
		"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Host: shop.example.com:8443", "X-Forwarded-Method: POST",
		"X-Forwarded-Proto: https", "X-Forwarded-Uri: /a%20b?q=1&r", "X-Real-Ip: 192.0.2.7",
	}
	client := []string{"Cookie: session=1", "X-Auth-User: admin", "X-Auth.user: admin", "X_auth_user: admin"}
	for _, tc := range []struct {
		name string
		step ForwardAuth
		want []string
	}{
		{name: "all", want: append(slices.Clone(client), own...)},
		{name: "some", step: ForwardAuth{RequestHeaders: []string{"cookie"}}, want: append([]string{"Cookie: session=1"}, own...)},
		{name: "trusted", step: ForwardAuth{TrustHeader: true}, want: append(append(slices.Clone(client), own...), "X-Forwarded-Prefix: /x")},
		{name: "nginx", step: ForwardAuth{Nginx: true}, want: append(append(slices.Clone(client), own...),
			"X-Original-Url: https://shop.example.com:8443/a%20b?q=1&r", "X-Original-Method: POST",
			"X-Auth-Request-Redirect: /a%20b?q=1&r", "X-Sent-From: nginx-ingress-controller")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := says(200, "")
			tc.step.URL = "http://auth.default.svc/v?rd=$scheme://$http_host$escaped_request_uri&m=$request_method"
			tc.step.Backend, _ = ServiceURL(tc.step.URL)
			if err := tc.step.Check(); err != nil {
				t.Fatal(err)
			}
			if a := tc.step.New(s.env()).Handle(t.Context(), asking()); a != nil {
				t.Fatalf("answer %+v", a)
			}
			slices.Sort(tc.want)
			got := lines(s.asked.Header)
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if got, want := s.asked.Method+" "+s.asked.Host+" "+s.asked.URL.String(),
				"GET auth.default.svc /v?rd=https://shop.example.com:8443%2Fa%2520b%3Fq%3D1%26r&m=POST"; got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		})
	}
}

// TestForwardAuthAnswers checks what comes of each answer.
func TestForwardAuthAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		step    ForwardAuth
		service *service
		want    string // the answer; "" for a pass
	}{
		{name: "pass", service: says(204, "")},
		{name: "an odd pass", service: says(299, "no")},
		{name: "denied", service: says(403, "no", "Connection", "X-Hop", "X-Hop", "1", "Content-Length", "2", "Set-Cookie", "a", "Set-Cookie", "b"),
			want: "403 no [{Set-Cookie a} {Set-Cookie b}]"},
		{name: "redirected", service: says(302, "", "Location", "/login"), want: "302  [{Location /login}]"},
		{name: "not changed", service: says(304, ""), want: "304  []"},
		{name: "interim", service: says(101, ""), want: "500"},
		{name: "no status", service: says(0, ""), want: "500"},
		{name: "down", service: &service{answer: func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }}, want: "500"},
		{name: "long", step: ForwardAuth{MostBody: 3}, service: says(401, "long"), want: "500"},
		{name: "not long", step: ForwardAuth{MostBody: 4}, service: says(401, "long"), want: "401 long []"},
		{name: "sign in", step: ForwardAuth{SignIn: "https://login.example.com/?rd=$scheme://$host$escaped_request_uri"}, service: says(401, ""),
			want: "302  [{Location https://login.example.com/?rd=https://shop.example.com%2Fa%2520b%3Fq%3D1%26r}]"},
		{name: "no sign in", step: ForwardAuth{SignIn: "https://login.example.com/"}, service: says(403, "no"), want: "403 no []"},
		{name: "nginx 401", step: ForwardAuth{Nginx: true}, service: says(401, "no", "WWW-Authenticate", "Basic", "X-A", "b"), want: "401  [{WWW-Authenticate Basic}]"},
		{name: "nginx 403", step: ForwardAuth{Nginx: true}, service: says(403, "no", "X-A", "b"), want: "403  []"},
		{name: "nginx 302", step: ForwardAuth{Nginx: true}, service: says(302, "", "Location", "/login"), want: "500"},
		{name: "nginx 404", step: ForwardAuth{Nginx: true}, service: says(404, ""), want: "500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.step.URL = "http://auth.default.svc/"
			tc.step.Backend, _ = ServiceURL(tc.step.URL)
			a := tc.step.New(tc.service.env()).Handle(t.Context(), asking())
			got := ""
			switch {
			case a != nil && a.Reason != "":
				got = fmt.Sprint(a.Status)
			case a != nil:
				got = fmt.Sprintf("%d %s %v", a.Status, a.Body, a.Header)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestForwardAuthTells checks what the endpoint and the client are told of a
// pass: what the service says, and nothing that the client has made up.
func TestForwardAuthTells(t *testing.T) {
	step := ForwardAuth{URL: "http://auth.default.svc/", Backend: route.Backend{Service: "auth"}, ResponseHeaders: []string{"X-Auth-User", "X-Auth-Groups"}, UserHeader: "x-auth-user", PassCookies: true}
	for _, tc := range []struct {
		service *service
		want    []string
		cookies []string
	}{
		{says(200, "", "X-Auth-User", "ann", "Set-Cookie", "s=2", "X-Other", "1"), []string{"ann"}, []string{"s=1", "s=2"}},
		{says(200, "", "X-Auth-User", "ann", "X-Auth-User", "bob"), []string{"ann", "bob"}, []string{"s=1"}},
		{says(200, ""), nil, []string{"s=1"}},
	} {
		r := asking()
		if a := step.New(tc.service.env()).Handle(t.Context(), r); a != nil {
			t.Fatalf("answer %+v", a)
		}
		if diff := cmp.Diff(tc.want, r.Header.Values("X-Auth-User")); diff != "" || r.Header.Has("x_auth_user") || r.Header.Has("X-Auth.User") || r.Header.Has("X-Other") {
			t.Errorf("%s%v", diff, r.Header)
		}
		if want := append(tc.want, "")[0]; r.User != want {
			t.Errorf("user %q, want %q", r.User, want)
		}
		w := &Response{Header: Header{{"Set-Cookie", "s=1"}}}
		r.Respond(w)
		if diff := cmp.Diff(tc.cookies, w.Header.Values("Set-Cookie")); diff != "" {
			t.Error(diff)
		}
	}
}

// TestForwardAuthFails checks that a service that is down is logged once, and
// a client that goes is not.
func TestForwardAuthFails(t *testing.T) {
	var out bytes.Buffer
	s := &service{answer: func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}}
	e := s.env()
	e.Log = slog.New(slog.NewTextHandler(&out, nil))
	m := ForwardAuth{URL: "http://auth.default.svc/", Backend: route.Backend{Service: "auth"}, Timeout: time.Millisecond}.New(e)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{gone, t.Context(), t.Context()} {
		if a := m.Handle(ctx, asking()); a == nil || a.Status != 500 {
			t.Fatalf("answer %+v", a)
		}
	}
	s.answer = says(200, "").answer
	m.Handle(t.Context(), asking())
	m.Handle(t.Context(), asking())
	if got := out.String(); strings.Count(got, "does not answer") != 1 || strings.Count(got, "answers again") != 1 {
		t.Errorf("log:\n%s", got)
	}
	if a := (ForwardAuth{URL: "http://a.b.svc/", Backend: route.Backend{Service: "a"}}).New(env()).Handle(t.Context(), asking()); a == nil {
		t.Error("passed without an engine")
	}
}

// TestForwardAuthOutside checks the way to a URL that is no Service's.
func TestForwardAuthOutside(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/login", http.StatusFound)
		case "/gzip":
			w.Header().Set("X-Encoding", r.Header.Get("Accept-Encoding"))
			w.WriteHeader(http.StatusForbidden)
		}
	})
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for _, tc := range []struct {
		name string
		step ForwardAuth
		want string
	}{
		{"local", ForwardAuth{URL: plain.URL, Local: true}, "pass"},
		{"not local", ForwardAuth{URL: plain.URL}, "500"},
		{"by name", ForwardAuth{URL: strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)}, "500"},
		{"unknown certificate", ForwardAuth{URL: secure.URL, Local: true}, "500"},
		{"any certificate", ForwardAuth{URL: secure.URL, Local: true, TLS: ClientTLS{Insecure: true}}, "pass"},
		{"not followed", ForwardAuth{URL: plain.URL + "/redirect", Local: true}, "302 " + plain.URL + "/login"},
		{"client's encodings", ForwardAuth{URL: plain.URL + "/gzip", Local: true}, "403 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.step.New(env()).Handle(t.Context(), asking())
			got := "pass"
			switch {
			case a != nil && a.Reason != "":
				got = fmt.Sprint(a.Status)
			case a != nil:
				got = fmt.Sprintf("%d %s%s", a.Status, a.Header.Get("Location"), a.Header.Get("X-Encoding"))
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestForwardAuthCheck checks what cannot be used, and which URLs name Services.
func TestForwardAuthCheck(t *testing.T) {
	for _, tc := range []struct {
		step ForwardAuth
		want string
	}{
		{ForwardAuth{URL: "https://$host:8443/a?b=$escaped_request_uri"}, ""},
		{ForwardAuth{}, `url: want a URL such as http://auth.default.svc/verify`},
		{ForwardAuth{URL: "auth.default.svc/verify"}, `url: want a URL such as http://auth.default.svc/verify`},
		{ForwardAuth{URL: "http://u:secret@a/"}, `url: must not hold a password: it is shown to whom may see routes`},
		{ForwardAuth{URL: "http://a/$request_id"}, `url: $request_id is no variable that is known`},
		{ForwardAuth{URL: "http://a/$"}, `url: $ is no variable that is known`},
		{ForwardAuth{URL: "http://a", SignIn: "/login"}, `sign-in: want a URL such as http://auth.default.svc/verify`},
		{ForwardAuth{URL: "http://a", ResponseHeaders: []string{"X User"}}, `"X User" is no name of a field`},
		{ForwardAuth{URL: "http://a", Method: "G T"}, `"G T" is no method`},
		{ForwardAuth{URL: "https://a", TLS: ClientTLS{CA: []byte("x")}}, "ca: holds no certificate as PEM"},
		{ForwardAuth{URL: "https://a", TLS: ClientTLS{Key: []byte("x")}}, "certificate and key: tls: failed to find any PEM data in certificate input"},
	} {
		got := ""
		if err := tc.step.Check(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: error %q, want %q", tc.step, got, tc.want)
		}
	}
	for raw, want := range map[string]string{
		"http://auth.default.svc/":                     "default/auth:80",
		"http://Auth.Default.svc.cluster.local.:9000/": "default/auth:9000",
		"https://auth.default.svc/":                    "",
		"http://auth.default/":                         "",
		"http://a.b.c.svc/":                            "",
		"http://$host.svc/":                            "",
		"http://svc/":                                  "",
		"http://.default.svc/":                         "",
	} {
		b, ok := ServiceURL(raw)
		if ok != (want != "") || ok && b.String() != want {
			t.Errorf("%s: %v %v, want %s", raw, b, ok, want)
		}
	}
	if !(ForwardAuth{URL: "https://$host/x"}).ClientNames() || (ForwardAuth{URL: "https://a/$host"}).ClientNames() {
		t.Error("ClientNames is wrong")
	}
}

// FuzzForwardAuth checks that no request has another host asked than the URL
// says.
func FuzzForwardAuth(f *testing.F) {
	f.Add("http://auth.default.svc/v?rd=$scheme://$http_host$escaped_request_uri", "/a", "?b", "POST")
	f.Add("https://a$request_uri", "/a", "", "GET")
	f.Fuzz(func(t *testing.T, raw, path, query, method string) {
		step := ForwardAuth{URL: raw, Backend: route.Backend{Service: "auth"}}
		if step.Check() != nil || step.ClientNames() {
			return
		}
		want, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		s := says(200, "")
		r := asking()
		r.Path, r.Query, r.Method = "/"+path, query, method
		if a := step.New(s.env()).Handle(t.Context(), r); a == nil && s.asked.Host != want.Host {
			t.Errorf("asked %s", s.asked.Host)
		}
	})
}
