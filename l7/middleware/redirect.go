package middleware

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// Redirect sends the client elsewhere. It goes by the URL that the client
// knows, also where a Rewrite stands before it. Requests that are there already
// pass.
//
// It leads to another Scheme, Host or Port, the rest of the URL kept; or where
// Regexp matches the whole URL to Replacement; or to the fixed To.
type Redirect struct {
	// Scheme is "http", "https" or "" for the same.
	Scheme string `json:"scheme,omitempty"`
	// Host is canonical; "" is the same.
	Host string `json:"host,omitempty"`
	// WWW is "add" or "remove": the first label of the host.
	WWW string `json:"www,omitempty"`
	// Port is where Scheme and Host are; 0 is the scheme's own, or the same
	// where the scheme is.
	Port uint16 `json:"port,omitempty"`
	// Entrypoint names the entrypoint that it leads to: what came in there
	// passes.
	Entrypoint string `json:"entrypoint,omitempty"`
	// Regexp is looked for in scheme://host[:port]/path?query, and what it
	// matches of that becomes Replacement, in which $1 or ${1} is a group.
	Regexp      string `json:"regex,omitempty"`
	Replacement string `json:"replacement,omitempty"`
	// To is a URL, or a path at the same host; only requests for exactly the
	// path From go there, all where that is empty.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Permanent lets clients remember it: 301 rather than 302, and 308 rather
	// than 307 for methods other than GET and HEAD, which would become a GET.
	Permanent bool `json:"permanent,omitempty"`
	// Status is for all methods; 0 is as Permanent says.
	Status int `json:"status,omitempty"`
}

// Kind is its name in the configuration.
func (Redirect) Kind() string { return "redirect" }

// New returns the middleware.
func (s Redirect) New(Env) Middleware {
	m := &redirect{step: s}
	if s.Regexp != "" {
		m.regexp = regexp.MustCompile(s.Regexp)
	}
	return m
}

type redirect struct {
	step   Redirect
	regexp *regexp.Regexp
}

// Handle answers those that are not yet where they ought to be.
func (m *redirect) Handle(_ context.Context, r *Request) *Answer {
	if m.step.Entrypoint != "" && r.Entrypoint == m.step.Entrypoint {
		return nil
	}
	to := m.target(r)
	if to == "" {
		return nil
	}
	return redirectTo(to, redirectStatus(r.Method, m.step.Permanent, m.step.Status))
}

// target returns where r is to go, "" where it is there.
func (m *redirect) target(r *Request) string {
	path, query := r.Asked()
	if path == "*" {
		return ""
	}
	switch s := &m.step; {
	case s.To != "":
		if s.From != "" && s.From != path || path == s.To {
			return ""
		}
		return s.To
	case m.regexp != nil:
		asked := askedURL(r)
		if to := m.regexp.ReplaceAllString(asked, s.Replacement); to != asked {
			return to
		}
		return ""
	}
	from, to := r.askedOrigin(), m.origin(r)
	if to == from {
		return ""
	}
	return to.String() + path + query
}

// origin returns the origin that r is to go to.
func (m *redirect) origin(r *Request) origin {
	o, s := r.askedOrigin(), &m.step
	if s.Scheme != "" && s.Scheme != o.scheme {
		o.scheme, o.port = s.Scheme, 0
	}
	if s.Host != "" {
		o.host = s.Host
	}
	switch bare, www := strings.CutPrefix(o.host, "www."); {
	case s.WWW == "remove":
		o.host = bare
	case s.WWW == "add" && !www:
		o.host = "www." + bare
	}
	// The port in front of us may be another than ours: it says nothing of
	// whether a request with the right scheme is at the right place.
	if s.Port != 0 && (s.Scheme == "" || s.Scheme != r.Scheme) {
		o.port = s.Port
	}
	return o.normal()
}

// An origin is where a URL begins.
type origin struct {
	scheme, host string
	port         uint16 // 0 is the scheme's own
}

// normal has one origin written in one way.
func (o origin) normal() origin {
	if o.scheme == "https" && o.port == 443 || o.scheme == "http" && o.port == 80 {
		o.port = 0
	}
	return o
}

// String returns scheme://host:port, without the port where that is the
// scheme's own.
func (o origin) String() string {
	if o.port == 0 {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + strconv.Itoa(int(o.port))
}

// askedOrigin returns the origin that the client has asked. Its port is what
// the client says, for it knows of those who stand between.
func (r *Request) askedOrigin() origin {
	o := origin{scheme: r.Scheme, host: r.Host}
	said := r.Header.Get("X-Forwarded-Host")
	if i := strings.LastIndexByte(said, ':'); i > 0 {
		host, err := route.CanonicalHost(nil, []byte(said))
		if port, perr := strconv.ParseUint(said[i+1:], 10, 16); err == nil && perr == nil && string(host) == r.Host {
			o.port = uint16(port)
		}
	}
	return o.normal()
}

// askedURL returns the URL that the client has asked for.
func askedURL(r *Request) string {
	path, query := r.Asked()
	return r.askedOrigin().String() + path + query
}

// redirectStatus returns the status of a redirect: one that keeps the method,
// where that is none that a GET stands in for (RFC 9110, section 15.4).
func redirectStatus(method string, permanent bool, status int) int {
	get := method == http.MethodGet || method == http.MethodHead
	switch {
	case status != 0:
		return status
	case permanent && get:
		return http.StatusMovedPermanently
	case permanent:
		return http.StatusPermanentRedirect
	case get:
		return http.StatusFound
	}
	return http.StatusTemporaryRedirect
}

// redirectTo answers with a redirect. Where to is made of what a client says,
// it may be nothing that a browser takes for another host than it seems.
func redirectTo(to string, status int) *Answer {
	if strings.HasPrefix(to, "//") || !strings.HasPrefix(to, "/") && !absolute(to) {
		return &Answer{Status: http.StatusBadRequest, Reason: "leads to no URL"}
	}
	return &Answer{Status: status, Header: Header{{"Location", escapeURL(to)}}}
}

// absolute reports whether s is a URL of HTTP.
func absolute(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(s, "http://")
	}
	return ok && rest != "" && !strings.ContainsAny(rest[:1], "/?#\\")
}

// escapeURL encodes the bytes that have no place in a URL. Of those a backslash
// is what browsers take for a slash.
func escapeURL(s string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7F || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// A RedirectSection is redirect = {...}.
type RedirectSection struct {
	Scheme      string `toml:"scheme"`
	Host        string `toml:"host"`
	WWW         string `toml:"www"`
	Port        *int   `toml:"port"`
	Regex       string `toml:"regex"`
	Replacement string `toml:"replacement"`
	From        string `toml:"from"`
	To          string `toml:"to"`
	Permanent   bool   `toml:"permanent"`
	Status      int    `toml:"status"`
}

// Parse checks s.
func (s RedirectSection) Parse(p value.Parser) Step {
	out := Redirect{
		Scheme: s.Scheme, WWW: s.WWW, Permanent: s.Permanent, Status: s.Status,
		Port:   uint16(value.Number(p, s.Port, "port", 0, 1, 65535)),
		Regexp: p.Regexp(s.Regex, "regex"), Replacement: s.Replacement,
		From: s.From, To: s.To,
	}
	p.Choice(s.Scheme, "scheme", []string{"http", "https"})
	p.Choice(s.WWW, "www", []string{"add", "remove"})
	if s.Host != "" {
		host, err := route.CanonicalHost(nil, []byte(s.Host))
		if err != nil || strings.ContainsAny(s.Host, "*") {
			p.Bad("host", fmt.Sprintf("%q is no host: want one such as \"www.example.com\", its port in port", s.Host))
		}
		out.Host = string(host)
	}
	switch s.Status {
	case 0, 301, 302, 303, 307, 308:
	default:
		p.Bad("status", fmt.Sprintf("%d is no redirect: want one of 301, 302, 303, 307, 308", s.Status))
	}
	s.oneWay(p)
	return out
}

// oneWay checks that s says where to go, in one way.
func (s RedirectSection) oneWay(p value.Parser) {
	origin := s.Scheme != "" || s.Host != "" || s.WWW != "" || s.Port != nil
	switch {
	case !origin && s.Regex == "" && s.To == "":
		p.Bad("", "leads nowhere: want scheme, host, www or port; or regex with replacement; or to")
	case origin && (s.Regex != "" || s.To != ""), s.Regex != "" && s.To != "":
		p.Bad("", "leads to two places: want scheme, host, www and port; or regex with replacement; or to")
	case (s.Regex == "") != (s.Replacement == ""):
		p.Bad("replacement", "regex and replacement belong together")
	case s.From != "" && s.To == "":
		p.Bad("from", "belongs to to, which is missing")
	case s.WWW != "" && s.Host != "":
		p.Bad("www", "stands beside host: leave out one of them")
	case s.To != "" && !absolute(s.To) && (!strings.HasPrefix(s.To, "/") || strings.HasPrefix(s.To, "//")):
		p.Bad("to", fmt.Sprintf("%q is no URL: want one such as \"https://example.com/\", or a path", s.To))
	}
}
