package middleware

import (
	"context"
	"strings"
)

// Respell writes fixed parts of an endpoint's redirects and cookies anew, as
// nginx's proxy_redirect, proxy_cookie_path and proxy_cookie_domain do.
type Respell struct {
	// Location and CookiePath replace what those begin with, CookieDomain a
	// whole domain, in any case of letters.
	Location     Spelling `json:"location,omitzero"`
	CookiePath   Spelling `json:"cookie_path,omitzero"`
	CookieDomain Spelling `json:"cookie_domain,omitzero"`
}

// A Spelling has To in place of From. The zero Spelling changes nothing.
type Spelling struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Kind is its name.
func (Respell) Kind() string { return "respell" }

// New returns the middleware.
func (s Respell) New(Env) Middleware { return &respell{s} }

type respell struct{ step Respell }

// Handle waits for the response.
func (m *respell) Handle(_ context.Context, r *Request) *Answer {
	r.OnResponse(func(w *Response) {
		if w.Ours {
			return
		}
		for i := range w.Header {
			switch f := &w.Header[i]; {
			case strings.EqualFold(f.Name, "Location"):
				f.Value = m.step.Location.begin(f.Value)
			case strings.EqualFold(f.Name, "Set-Cookie"):
				f.Value = m.cookie(f.Value)
			}
		}
	})
	return nil
}

// begin replaces what s begins with.
func (p Spelling) begin(s string) string {
	if rest, ok := strings.CutPrefix(s, p.From); ok && p.From != "" {
		return p.To + rest
	}
	return s
}

// cookie changes attributes of a cookie (RFC 6265, section 4.1.2).
func (m *respell) cookie(cookie string) string {
	parts := strings.Split(cookie, ";")
	for i, part := range parts[1:] {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		switch v := strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(name)) {
		case "path":
			parts[i+1] = name + "=" + m.step.CookiePath.begin(v)
		case "domain":
			if p := m.step.CookieDomain; p.From != "" && strings.EqualFold(strings.TrimPrefix(v, "."), strings.TrimPrefix(p.From, ".")) {
				parts[i+1] = name + "=" + p.To
			}
		}
	}
	return strings.Join(parts, ";")
}
