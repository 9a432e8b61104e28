package middleware

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/value"
)

// CORS says which other origins' pages may use what is here (the Fetch
// standard, section 3.2). It answers the questions that browsers ask before,
// and what the endpoint says of this itself is replaced.
type CORS struct {
	// Origins are "https://example.com", one whose first label is "*", which
	// stands for one label, or "*" alone for all.
	Origins []string `json:"origins,omitempty"`
	// OriginPatterns are regular expressions for the whole of an origin.
	OriginPatterns []string `json:"origin_patterns,omitempty"`
	Methods        []string `json:"methods,omitempty"`
	// Headers are those of requests, "*" all that are asked for.
	Headers []string `json:"headers,omitempty"`
	// Expose are those of responses that scripts may read.
	Expose []string `json:"expose,omitempty"`
	// Credentials lets cookies and passwords be sent, never to an origin that
	// stands in Origins as "*" alone.
	Credentials bool `json:"credentials,omitempty"`
	// MaxAge is how long browsers need not ask again, 0 as long as they like.
	MaxAge time.Duration `json:"max_age,omitempty"`
}

// Kind is its name in the configuration.
func (CORS) Kind() string { return "cors" }

// New returns the middleware.
func (s CORS) New(Env) Middleware {
	m := &cors{step: s, any: slices.Contains(s.Origins, "*")}
	for _, e := range s.OriginPatterns {
		m.patterns = append(m.patterns, regexp.MustCompile("^(?:"+e+")$"))
	}
	return m
}

type cors struct {
	step     CORS
	any      bool
	patterns []*regexp.Regexp
}

// Handle answers a browser's question, or will tell it what the page may do.
func (m *cors) Handle(_ context.Context, r *Request) *Answer {
	origin := r.Header.Get("Origin")
	if r.Method == http.MethodOptions && origin != "" && r.Header.Has("Access-Control-Request-Method") {
		return &Answer{Status: http.StatusNoContent, Header: m.preflight(r, origin)}
	}
	r.OnResponse(func(w *Response) {
		w.Header.delPrefix("Access-Control-")
		m.grant(&w.Header, origin)
		if len(m.step.Expose) > 0 && w.Header.Has(allowOrigin) {
			w.Header.Add("Access-Control-Expose-Headers", strings.Join(m.step.Expose, ", "))
		}
	})
	return nil
}

const allowOrigin = "Access-Control-Allow-Origin"

// grant says whether origin may. Caches learn that the answer depends on it,
// where it does.
func (m *cors) grant(h *Header, origin string) {
	named := m.allows(origin)
	if !m.any || len(m.step.Origins)+len(m.patterns) > 1 {
		h.Add("Vary", "Origin")
	}
	switch {
	case named:
		h.Add(allowOrigin, origin)
		if m.step.Credentials {
			h.Add("Access-Control-Allow-Credentials", "true")
		}
	case m.any:
		h.Add(allowOrigin, "*")
	}
}

// allows reports whether origin is one of those that are named.
func (m *cors) allows(origin string) bool {
	if origin == "" {
		return false
	}
	lower := strings.ToLower(origin)
	return slices.ContainsFunc(m.step.Origins, func(o string) bool { return o != "*" && matchOrigin(o, lower) }) ||
		slices.ContainsFunc(m.patterns, func(e *regexp.Regexp) bool { return e.MatchString(lower) })
}

// matchOrigin compares with one that may have a wildcard.
func matchOrigin(pattern, origin string) bool {
	scheme, domain, wild := strings.Cut(pattern, "://*.")
	if !wild {
		return pattern == origin
	}
	host, ok := strings.CutPrefix(origin, scheme+"://")
	label, rest, _ := strings.Cut(host, ".")
	return ok && label != "" && rest == domain
}

// preflight answers what may be asked. One that may not gets nothing of it,
// which is a no.
func (m *cors) preflight(r *Request, origin string) Header {
	var h Header
	m.grant(&h, origin)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if !h.Has(allowOrigin) {
		return h
	}
	h.Add("Access-Control-Allow-Methods", strings.Join(m.step.Methods, ", "))
	if slices.Contains(m.step.Headers, "*") {
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Add("Access-Control-Allow-Headers", asked)
		}
	} else if len(m.step.Headers) > 0 {
		h.Add("Access-Control-Allow-Headers", strings.Join(m.step.Headers, ", "))
	}
	if m.step.MaxAge > 0 {
		h.Add("Access-Control-Max-Age", strconv.FormatInt(int64(m.step.MaxAge/time.Second), 10))
	}
	return h
}

// delPrefix removes all lines whose name begins so.
func (h *Header) delPrefix(prefix string) {
	*h = slices.DeleteFunc(*h, func(f Field) bool {
		return len(f.Name) >= len(prefix) && strings.EqualFold(f.Name[:len(prefix)], prefix)
	})
}

// A CORSSection is cors = {...}.
type CORSSection struct {
	Origins        []string `toml:"origins"`
	OriginPatterns []string `toml:"origin_patterns"`
	Methods        []string `toml:"methods"`
	Headers        []string `toml:"headers"`
	Expose         []string `toml:"expose"`
	Credentials    bool     `toml:"credentials"`
	MaxAge         string   `toml:"max_age"`
}

// Parse checks s.
func (s CORSSection) Parse(p value.Parser) Step {
	out := CORS{
		Methods: s.Methods, Headers: s.Headers, Expose: s.Expose, Credentials: s.Credentials,
		MaxAge: p.Span(s.MaxAge, "max_age", 0, time.Second, 24*time.Hour),
	}
	if len(s.Origins) == 0 && len(s.OriginPatterns) == 0 {
		p.Bad("", "allows no origin: want origins, or origin_patterns")
	}
	for i, o := range s.Origins {
		if o = strings.ToLower(o); !validOrigin(o) {
			p.Bad(fmt.Sprintf("origins[%d]", i), fmt.Sprintf("%q is no origin: want one such as \"https://example.com\", \"https://*.example.com\", \"*\"", o))
		}
		out.Origins = append(out.Origins, o)
	}
	if s.Credentials && slices.Contains(s.Origins, "*") {
		p.Bad("credentials", "would give every page the user's rights: name the origins instead of \"*\"")
	}
	for i, e := range s.OriginPatterns {
		out.OriginPatterns = append(out.OriginPatterns, p.Regexp(e, fmt.Sprintf("origin_patterns[%d]", i)))
	}
	if len(out.Methods) == 0 {
		out.Methods = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"}
	}
	s.checkNames(p)
	return out
}

// checkNames tells of what is no name of a method or a field.
func (s CORSSection) checkNames(p value.Parser) {
	for _, list := range []struct {
		key   string
		names []string
	}{{"methods", s.Methods}, {"headers", s.Headers}, {"expose", s.Expose}} {
		for i, name := range list.names {
			if !value.Token(name) && name != "*" {
				p.Bad(fmt.Sprintf("%s[%d]", list.key, i), fmt.Sprintf("%q is no name", name))
			}
		}
	}
}

// validOrigin reports whether o is one, in lower case.
func validOrigin(o string) bool {
	if o == "*" || o == "null" {
		return true
	}
	scheme, host, ok := strings.Cut(o, "://")
	host = strings.TrimPrefix(host, "*.")
	return ok && value.Token(scheme) && host != "" && !strings.ContainsAny(host, "*/?# ")
}
