package middleware

import (
	"net/http"
	"net/url"
	"strings"
)

// question returns the fields that the service is asked with.
func (m *forwardAuth) question(r *Request) http.Header {
	h := make(http.Header, len(r.Header)+5)
	for _, f := range r.Header {
		if m.tells(f.Name) {
			h.Add(f.Name, f.Value)
		}
	}
	m.forwarded(h, r)
	if m.step.Nginx {
		path, query := r.Asked()
		h.Set("X-Original-Url", r.Scheme+"://"+r.Authority+path+query)
		h.Set("X-Original-Method", r.Method)
		h.Set("X-Auth-Request-Redirect", path+query)
		h.Set("X-Sent-From", "nginx-ingress-controller")
	}
	return h
}

// tells reports whether the service is told a field of the client's. What is
// about the body, which it does not get, would have it misread the question, and
// so would a condition. And a client must not say what is ours to say, in
// whatever way its name is written.
func (m *forwardAuth) tells(name string) bool {
	for _, prefix := range []string{"Content-", "If-", "X-Original-"} {
		if len(name) >= len(prefix) && aliases(name[:len(prefix)], prefix) {
			return false
		}
	}
	for _, own := range []string{"Range", "Expect", "X-Auth-Request-Redirect", "X-Sent-From"} {
		if aliases(name, own) {
			return false
		}
	}
	if forwards(name) {
		// Those that stand here are of a proxy that the entrypoint trusts, or
		// the engine's own.
		return m.step.TrustHeader
	}
	if len(m.step.RequestHeaders) == 0 {
		return true
	}
	for _, told := range m.step.RequestHeaders {
		if strings.EqualFold(name, told) {
			return true
		}
	}
	return false
}

// forwards reports whether a field is one by which proxies tell who asks.
func forwards(name string) bool {
	const prefix = "X-Forwarded-"
	return len(name) > len(prefix) && aliases(name[:len(prefix)], prefix) || aliases(name, "Forwarded") || aliases(name, "X-Real-Ip")
}

// forwarded adds what the request is about, where no trusted proxy has said it.
func (m *forwardAuth) forwarded(h http.Header, r *Request) {
	for name, value := range map[string]string{
		"X-Forwarded-Method": r.Method,
		"X-Forwarded-Proto":  r.Scheme,
		"X-Forwarded-Host":   r.Authority,
		"X-Forwarded-Uri":    r.Path + r.Query,
		"X-Forwarded-For":    r.Client.String(),
		"X-Real-Ip":          r.Client.String(),
	} {
		if len(h[name]) == 0 {
			h[name] = []string{value}
		}
	}
}

// expand puts what r is about in place of a template's variables, and returns
// the first one that is none.
func expand(template string, r *Request) (out, unknown string) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "$")
		b.WriteString(before)
		if !ok {
			return b.String(), unknown
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_"))]
		value, ok := variable(name, r)
		if !ok && unknown == "" {
			unknown = "$" + name
		}
		b.WriteString(value)
		template = rest[len(name):]
	}
}

// variable is what the URL of a ForwardAuth has in place of $name.
func variable(name string, r *Request) (value string, ok bool) {
	path, query := r.Asked()
	switch name {
	case "host":
		return r.Host, true
	case "http_host", "best_http_host":
		return r.Authority, true
	case "scheme", "pass_access_scheme":
		return r.Scheme, true
	case "request_method":
		return r.Method, true
	case "remote_addr":
		return r.Client.String(), true
	case "request_uri":
		return path + query, true
	case "escaped_request_uri":
		return url.QueryEscape(path + query), true
	}
	return "", false
}
