package middleware

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// ForwardAuth asks a service whether a request may pass: 2xx says yes, all else
// is what the client gets. Without an answer it gets 500, as with Traefik and
// nginx: nobody passes because the service is down.
//
// The service is asked with the client's fields, without its body, and with
// X-Forwarded-Method, -Proto, -Host, -Uri (the path as the steps before have made it)
// and -For. Check tells whether all of it can work.
type ForwardAuth struct {
	// URL is what is asked, http or https. These variables stand for what the
	// client asked for: $host, $http_host (with the port), $scheme,
	// $request_method, $request_uri (path and query), $escaped_request_uri (the
	// same, as a value in a query), $remote_addr; and, as ingress-nginx has
	// them, $best_http_host and $pass_access_scheme.
	URL string `json:"url"`
	// Backend is the Service that URL names, where ServiceURL has found one: its
	// endpoints are asked, past its address and past DNS. The zero Backend
	// leaves URL to be looked up and connected to.
	Backend route.Backend `json:"backend,omitzero"`
	// Local allows a URL that leads to this machine, or to a link-local address.
	// Who writes an Ingress must not reach what listens there for us alone.
	Local bool `json:"local,omitempty"`
	// Method is the question's; "" is GET.
	Method string `json:"method,omitempty"`
	// TrustHeader has the service get all X-Forwarded-* that a proxy before us
	// has written whom the entrypoint trusts, rather than our own alone.
	TrustHeader bool `json:"trust_header,omitempty"`
	// RequestHeaders are the names of the client's fields that the service gets;
	// none means all.
	RequestHeaders []string `json:"request_headers,omitempty"`
	// ResponseHeaders are the names of the service's fields that the endpoint
	// gets when a request passes. A client's own lines of these names never
	// come through.
	ResponseHeaders []string `json:"response_headers,omitempty"`
	// UserHeader is the service's field that names who asks, for the access
	// log; "" for none.
	UserHeader string `json:"user_header,omitempty"`
	// PassCookies has the client get the Set-Cookie lines of a passing answer
	// too, with the endpoint's response.
	PassCookies bool `json:"pass_cookies,omitempty"`
	// SignIn is where a client goes that was answered 401, by 302; "" leaves it
	// with the answer. It holds variables as URL does.
	SignIn string `json:"sign_in,omitempty"`
	// Nginx has it speak as ingress-nginx's auth-url: the service gets
	// X-Original-URL, X-Original-Method and X-Auth-Request-Redirect too, and of
	// its answers 401 and 403 go to the client, without a body; all else but
	// 2xx is 500.
	Nginx bool `json:"nginx,omitempty"`
	// Timeout is how long the service may take, 0 is DefaultAuthTimeout.
	Timeout time.Duration `json:"timeout,omitempty"`
	// MostBody is the longest body of an answer that is passed on, in bytes; 0
	// is DefaultAuthBody. An answer with a longer one is none.
	MostBody int64 `json:"most_body,omitempty"`
	// TLS is how an https URL is connected to.
	TLS ClientTLS `json:"tls,omitzero"`
}

// What ForwardAuth takes where it is told nothing else.
const (
	DefaultAuthTimeout = 10 * time.Second
	DefaultAuthBody    = 1 << 20
)

// Kind is its name in the configuration.
func (ForwardAuth) Kind() string { return "forward_auth" }

// Backends are whose endpoints it asks.
func (s ForwardAuth) Backends() []route.Backend { return []route.Backend{s.Backend} }

// New returns the middleware.
func (s ForwardAuth) New(env Env) Middleware {
	s.Timeout, s.MostBody = cmp.Or(s.Timeout, DefaultAuthTimeout), cmp.Or(s.MostBody, DefaultAuthBody)
	m := &forwardAuth{step: s, log: env.Log}
	if s.Backend == (route.Backend{}) {
		m.transport = s.transport()
	} else if env.Transport != nil {
		m.transport = env.Transport(s.Backend)
	}
	return m
}

type forwardAuth struct {
	step      ForwardAuth
	log       *slog.Logger
	transport http.RoundTripper // nil where there is no way to ask
	failing   atomic.Bool
}

// Handle lets pass what the service lets pass.
func (m *forwardAuth) Handle(ctx context.Context, r *Request) *Answer {
	asking, cancel := context.WithTimeout(ctx, m.step.Timeout)
	defer cancel()
	res, body, err := m.ask(asking, r) //nolint:bodyclose // ask has closed it
	if ctx.Err() == nil {              // else it is the client that has gone
		m.report(err)
	}
	switch {
	case err != nil:
		return &Answer{Status: http.StatusInternalServerError, Reason: "the service that knows who may pass does not answer"}
	case res.StatusCode/100 == 2:
		m.pass(r, res.Header)
		return nil
	case res.StatusCode == http.StatusUnauthorized && m.step.SignIn != "":
		to, _ := expand(m.step.SignIn, r)
		return &Answer{Status: http.StatusFound, Header: Header{{"Location", to}}}
	case !m.step.Nginx:
		return &Answer{Status: res.StatusCode, Header: m.answered(res), Body: body}
	case res.StatusCode == http.StatusUnauthorized:
		a := &Answer{Status: res.StatusCode}
		for _, v := range res.Header.Values("WWW-Authenticate") {
			a.Header.Add("WWW-Authenticate", v)
		}
		return a
	case res.StatusCode == http.StatusForbidden:
		return &Answer{Status: res.StatusCode}
	}
	return &Answer{Status: http.StatusInternalServerError, Reason: "the service that knows who may pass says neither yes nor no"}
}

// ask has the service answer. Its body is read where it may be passed on.
func (m *forwardAuth) ask(ctx context.Context, r *Request) (*http.Response, []byte, error) {
	if m.transport == nil {
		return nil, nil, errNoTransport
	}
	to, _ := expand(m.step.URL, r)
	u, err := url.Parse(to)
	if err != nil {
		return nil, nil, err
	}
	q := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: m.question(r)}).WithContext(ctx)
	if m.step.Method != "" {
		q.Method = m.step.Method
	}
	if m.step.Backend != (route.Backend{}) {
		q.URL = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	}
	res, err := m.transport.RoundTrip(q)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 599 {
		return nil, nil, errNoStatus
	}
	if res.StatusCode/100 == 2 || m.step.Nginx {
		// Read only for the connection to be of further use.
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
		return res, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, m.step.MostBody+1))
	if err == nil && int64(len(body)) > m.step.MostBody {
		err = errLongBody
	}
	return res, body, err
}

// pass tells the endpoint what the service says about who asks.
func (m *forwardAuth) pass(r *Request, said http.Header) {
	for _, name := range m.step.ResponseHeaders {
		r.Header.delAliases(name)
		for _, v := range said.Values(name) {
			r.Header.Add(name, v)
		}
	}
	if m.step.UserHeader != "" {
		r.User = said.Get(m.step.UserHeader)
	}
	if cookies := said.Values("Set-Cookie"); m.step.PassCookies && len(cookies) > 0 {
		r.OnResponse(func(w *Response) {
			for _, c := range cookies {
				w.Header.Add("Set-Cookie", c)
			}
		})
	}
}

// answered returns the fields of the service's response that the client gets.
func (m *forwardAuth) answered(res *http.Response) Header {
	h := endToEnd(res.Header)
	if to, err := res.Location(); err == nil && m.step.Backend == (route.Backend{}) {
		// As a client of the service would understand it. Where a Service is
		// asked, its name means nothing to the client, but a path may.
		h.Set("Location", to.String())
	}
	return h
}

// report logs when the service begins to fail and when it is back, and not for
// each request.
func (m *forwardAuth) report(err error) {
	switch {
	case err != nil && !m.failing.Swap(true):
		m.log.Warn("auth service does not answer, nobody passes", "url", m.step.URL, "error", err)
	case err == nil && m.failing.Load() && m.failing.Swap(false):
		m.log.Info("auth service answers again", "url", m.step.URL)
	}
}

// endToEnd returns the fields of a response but for those of the connection
// and the framing.
func endToEnd(fields http.Header) (h Header) {
	drop := map[string]bool{
		"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
		"Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Date": true,
	}
	for _, line := range fields.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			drop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if drop[name] {
			continue
		}
		for _, v := range fields[name] {
			h.Add(name, v)
		}
	}
	return h
}
