package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// ErrorPages has a backend make the bodies of responses that report an error,
// endpoints' and our own. The client keeps the status. The backend is told
// nothing of who asks: no Authorization, no Cookie.
type ErrorPages struct {
	// Statuses are those that are replaced.
	Statuses []Statuses `json:"statuses"`
	// Backend makes the pages.
	Backend route.Backend `json:"backend"`
	// Query is the path, and the query, that it is asked for: "{status}" stands
	// for the status, "{url}" for the URL that the client asked for, as a value
	// in a query. "" is "/".
	Query string `json:"query,omitempty"`
	// Nginx has it ask as ingress-nginx's custom-http-errors does, with X-Code,
	// X-Format and X-Original-URI; and the client gets the page's own status.
	Nginx bool `json:"nginx,omitempty"`
	// Headers are more fields of the question: X-Namespace, X-Ingress-Name,
	// X-Service-Name, X-Service-Port with Nginx.
	Headers []Field `json:"headers,omitempty"`
	// Timeout is how long the backend may take, 0 is DefaultPageTimeout. The
	// response goes on as it was where there is no page.
	Timeout time.Duration `json:"timeout,omitempty"`
}

const (
	// DefaultPageTimeout is how long a page may take to be made.
	DefaultPageTimeout = 5 * time.Second
	// mostPage is how long a page may be, in bytes.
	mostPage = 1 << 20
)

// Statuses is a range of status codes, both ends within.
type Statuses struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// ParseStatuses reads "404" or "500-599".
func ParseStatuses(s string) (Statuses, error) {
	from, to, both := strings.Cut(s, "-")
	if !both {
		to = from
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if errA != nil || errB != nil || a < 400 || b > 599 || a > b {
		return Statuses{}, fmt.Errorf("%q is no range of statuses that report errors: want such as \"404\" or \"500-599\"", s)
	}
	return Statuses{int(a), int(b)}, nil
}

// Kind is its name in the configuration.
func (ErrorPages) Kind() string { return "errors" }

// Backends are whose endpoints make the pages.
func (s ErrorPages) Backends() []route.Backend { return []route.Backend{s.Backend} }

// Check reports why s cannot work.
func (s ErrorPages) Check() error {
	if len(s.Statuses) == 0 {
		return errors.New("statuses: which are to have a page?")
	}
	if s.Backend == (route.Backend{}) {
		return errors.New("backend: who makes the pages?")
	}
	if err := checkQuery(s.Query); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

func checkQuery(s string) error {
	if u, err := url.Parse(fill(s, 404, "")); err != nil || u.IsAbs() || u.Host != "" || s != "" && s[0] != '/' {
		return fmt.Errorf("%q is no path: want such as \"/{status}.html\"", s)
	}
	return nil
}

// New returns the middleware.
func (s ErrorPages) New(env Env) Middleware {
	s.Timeout = cmp.Or(s.Timeout, DefaultPageTimeout)
	m := &errorPages{step: s}
	if env.Transport != nil {
		m.transport = env.Transport(s.Backend)
	}
	return m
}

type errorPages struct {
	step      ErrorPages
	transport http.RoundTripper // nil where there is no way to ask
}

// Handle waits for the response.
func (m *errorPages) Handle(ctx context.Context, r *Request) *Answer {
	if m.transport == nil || r.GRPC {
		return nil // gRPC reports errors in a way of its own, and has no pages
	}
	// The endpoint's fields may be others by then.
	asked := http.Header{}
	for _, name := range []string{"Accept", "Accept-Language", "User-Agent", "X-Request-Id"} {
		if v := r.Header.Get(name); v != "" {
			asked.Set(name, v)
		}
	}
	r.OnResponse(func(w *Response) {
		if !m.concerns(w.Status) {
			return
		}
		if a := m.page(ctx, r, w, asked); a != nil {
			w.Replace(a)
		}
	})
	return nil
}

func (m *errorPages) concerns(status int) bool {
	for _, s := range m.step.Statuses {
		if s.From <= status && status <= s.To {
			return true
		}
	}
	return false
}

// page has the backend make a page, nil where it does not.
func (m *errorPages) page(ctx context.Context, r *Request, w *Response, fields http.Header) *Answer {
	ctx, cancel := context.WithTimeout(ctx, m.step.Timeout)
	defer cancel()
	q, err := m.question(r, w.Status, fields)
	if err != nil {
		return nil
	}
	res, err := m.transport.RoundTrip(q.WithContext(ctx))
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	if !m.step.Nginx && res.StatusCode/100 != 2 && res.StatusCode != w.Status {
		return nil // an error of who makes the pages
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostPage+1))
	if err != nil || len(body) == 0 || len(body) > mostPage {
		return nil
	}
	a := &Answer{Status: w.Status, Header: pageHeader(w.Header, endToEnd(res.Header)), Body: body}
	if m.step.Nginx && res.StatusCode >= 200 && res.StatusCode <= 599 {
		a.Status = res.StatusCode
	}
	return a
}

// question asks for the page of a status.
func (m *errorPages) question(r *Request, status int, fields http.Header) (*http.Request, error) {
	path, query := r.Asked()
	u, err := url.Parse(fill(m.step.Query, status, r.Scheme+"://"+r.Authority+path+query))
	if err != nil {
		return nil, err
	}
	q := &http.Request{Method: http.MethodGet, URL: u, Host: r.Authority, Header: fields}
	q.Header.Set("X-Forwarded-Proto", r.Scheme)
	q.Header.Set("X-Forwarded-Host", r.Authority)
	if m.step.Nginx {
		q.Header.Set("X-Code", strconv.Itoa(status))
		q.Header.Set("X-Format", fields.Get("Accept"))
		q.Header.Set("X-Original-Uri", path+query)
	}
	for _, f := range m.step.Headers {
		q.Header.Set(f.Name, f.Value)
	}
	return q, nil
}

// fill puts a status and a URL in place of what stands for them.
func fill(query string, status int, asked string) string {
	if query == "" {
		return "/"
	}
	return strings.NewReplacer("{status}", strconv.Itoa(status), "{url}", url.QueryEscape(asked)).Replace(query)
}

// pageHeader returns the page's fields, and of the error's those that are not
// about its body but tell the client what to do now.
func pageHeader(was, page Header) (h Header) {
	for _, f := range page {
		switch http.CanonicalHeaderKey(f.Name) {
		case "Set-Cookie", "Etag", "Last-Modified", "Accept-Ranges":
			// About a page of its own, which this is not.
		default:
			h = append(h, f)
		}
	}
	for _, f := range was {
		switch http.CanonicalHeaderKey(f.Name) {
		case "Set-Cookie", "Www-Authenticate", "Retry-After", "Allow", "Strict-Transport-Security",
			"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials":
			h = append(h, f)
		}
	}
	return h
}

// An ErrorsSection is errors = {...}.
type ErrorsSection struct {
	Status  []string `toml:"status"`
	Service string   `toml:"service"`
	Query   string   `toml:"query"`
	Timeout string   `toml:"timeout"`
}

// Parse checks s.
func (s ErrorsSection) Parse(p value.Parser) Step {
	out := ErrorPages{
		Backend: ParseService(p, s.Service, "service"),
		Query:   s.Query,
		Timeout: p.Span(s.Timeout, "timeout", DefaultPageTimeout, 10*time.Millisecond, time.Minute),
	}
	if len(s.Status) == 0 {
		p.Bad("status", "missing: want those that are to have a page, such as [\"404\", \"500-599\"]")
	}
	for i, text := range s.Status {
		r, err := ParseStatuses(text)
		if err != nil {
			p.Bad(fmt.Sprintf("status[%d]", i), err.Error())
		}
		out.Statuses = append(out.Statuses, r)
	}
	if err := checkQuery(s.Query); err != nil {
		p.Bad("query", err.Error())
	}
	return out
}

// ParseService reads NAMESPACE/NAME:PORT, the port of a Service.
func ParseService(p value.Parser, s, key string) route.Backend {
	namespace, rest, _ := strings.Cut(s, "/")
	name, port, _ := strings.Cut(rest, ":")
	if !value.Token(namespace) || !value.Token(name) || !value.Token(port) {
		p.Bad(key, fmt.Sprintf("%q is no port of a Service: want such as \"shop/pages:80\"", s))
	}
	return route.Backend{Namespace: namespace, Service: name, Port: port}
}
