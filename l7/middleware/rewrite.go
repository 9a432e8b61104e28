package middleware

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// Rewrite has the endpoint be asked for another path than the client asks for.
// What is set is done in the order of the fields. A path that would leave
// where the rule has led it, by dot segments that only appear once a part is
// taken away, is answered 400.
type Rewrite struct {
	// StripPrefix are canonical paths; the first that the path begins with is
	// taken away, by whole elements, and told in X-Forwarded-Prefix.
	StripPrefix []string `json:"strip_prefix,omitempty"`
	// Characters has StripPrefix take characters away, as Traefik 1.7 does: of
	// /apple, /app leaves /le.
	Characters bool `json:"characters,omitempty"`
	// Slash sends a client that asks for the bare prefix to it with a slash
	// behind it, so that relative links lead into it.
	Slash bool `json:"redirect_to_slash,omitempty"`
	// Restore puts the prefix back into where the endpoint's redirects and
	// cookies point to, unless it stands there already.
	Restore bool `json:"restore_prefix,omitempty"`
	// AddPrefix is put before the path.
	AddPrefix string `json:"add_prefix,omitempty"`
	// Path replaces all of it.
	Path string `json:"path,omitempty"`
	// Regexp is looked for in the canonical path, and what it matches of that
	// becomes Replacement, in which $1 or ${1} is a group. What stands behind a
	// "?" in Replacement is a query, put before the client's.
	Regexp      string `json:"regex,omitempty"`
	Replacement string `json:"replacement,omitempty"`
	// Tell has the endpoint know the path before Path and Regexp by
	// X-Replaced-Path, as Traefik 1.7 does.
	Tell bool `json:"x_replaced_path,omitempty"`
}

// Kind is its name in the configuration.
func (Rewrite) Kind() string { return "rewrite" }

// New returns the middleware.
func (s Rewrite) New(Env) Middleware {
	m := &rewrite{step: s}
	if s.Regexp != "" {
		m.regexp = regexp.MustCompile(s.Regexp)
	}
	return m
}

type rewrite struct {
	step   Rewrite
	regexp *regexp.Regexp
}

// Handle rewrites the path.
func (m *rewrite) Handle(_ context.Context, r *Request) *Answer {
	if m.step.Tell {
		r.Header.Del("X-Replaced-Path")
	}
	if r.Path == "*" {
		return nil
	}
	path, prefix := m.strip(r.Path)
	if prefix != "" && path == "/" && m.step.Slash && !strings.HasSuffix(r.Path, "/") {
		asked, query := r.Asked()
		return redirectTo(asked+"/"+query, redirectStatus(r.Method, false, 0))
	}
	path, query := m.replace(r, m.step.AddPrefix+path)
	path, ok := merged(path)
	if !ok {
		return &Answer{Status: http.StatusBadRequest, Reason: "the rewritten path leads elsewhere"}
	}
	if path != r.Path || query != r.Query {
		r.Rewrite(path, query)
	}
	if prefix != "" {
		m.stripped(r, prefix)
	}
	return nil
}

// strip returns path without the prefix, and that.
func (m *rewrite) strip(path string) (rest, prefix string) {
	for _, prefix := range m.step.StripPrefix {
		rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
		switch {
		case !ok:
		case rest == "" || rest[0] == '/':
			return slashed(rest), prefix
		case m.step.Characters && strings.HasPrefix(path, prefix):
			return slashed(strings.TrimPrefix(path, prefix)), prefix
		}
	}
	return path, ""
}

// slashed returns s with a slash at its begin.
func slashed(s string) string {
	if strings.HasPrefix(s, "/") {
		return s
	}
	return "/" + s
}

// replace returns path and query as Path and Regexp have them.
func (m *rewrite) replace(r *Request, path string) (string, string) {
	replaced := path
	if m.step.Path != "" {
		replaced = m.step.Path
	}
	query := r.Query
	if m.regexp != nil && m.regexp.MatchString(replaced) {
		// A canonical path holds no "?": this one is the configuration's.
		to, added, _ := strings.Cut(m.regexp.ReplaceAllString(replaced, m.step.Replacement), "?")
		replaced, query = slashed(to), joinQuery(added, query)
	}
	if m.step.Tell && replaced != path {
		r.Header.Set("X-Replaced-Path", path)
	}
	return replaced, query
}

// joinQuery puts added before query, which has its "?".
func joinQuery(added, query string) string {
	switch {
	case added == "":
		return query
	case len(query) < 2:
		return "?" + added
	}
	return "?" + added + "&" + query[1:]
}

// merged returns path without empty elements, which come where a group is
// empty. It reports false for one that is not canonical then.
func merged(path string) (string, bool) {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	canonical, err := route.CanonicalPath(make([]byte, 0, len(path)), []byte(path))
	return path, err == nil && string(canonical) == path
}

// stripped tells the endpoint of prefix, behind one that a trusted proxy has
// taken away before (the engine has dropped what others say), and will put it
// back into the response.
func (m *rewrite) stripped(r *Request, prefix string) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return
	}
	r.Header.Set("X-Forwarded-Prefix", strings.TrimSuffix(r.Header.Get("X-Forwarded-Prefix"), "/")+prefix)
	if !m.step.Restore {
		return
	}
	host, authority := r.Host, r.Authority
	r.OnResponse(func(w *Response) {
		if !w.Ours {
			restore(&w.Header, prefix, host, authority)
		}
	})
}

// restore puts prefix before the paths that a response to a browser holds.
func restore(h *Header, prefix, host, authority string) {
	for i := range *h {
		switch f := &(*h)[i]; {
		case strings.EqualFold(f.Name, "Location"):
			f.Value = restoreLocation(f.Value, prefix, host, authority)
		case strings.EqualFold(f.Name, "Set-Cookie"):
			f.Value = restoreCookie(f.Value, prefix)
		}
	}
}

func restoreLocation(location, prefix, host, authority string) string {
	origin, path := "", location
	if i := strings.Index(location, "://"); i > 0 {
		end := strings.IndexAny(location[i+3:], "/?#")
		if end < 0 {
			return location
		}
		origin, path = location[:i+3+end], location[i+3+end:]
		if h := origin[i+3:]; !strings.EqualFold(h, host) && !strings.EqualFold(h, authority) {
			return location
		}
	}
	return origin + restorePath(path, prefix)
}

// restorePath puts prefix before an absolute path.
func restorePath(path, prefix string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return path // relative to the client's URL, or another host's
	}
	if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return path
	}
	return prefix + path
}

// restoreCookie changes the Path of a cookie (RFC 6265, section 4.1.2.4).
func restoreCookie(cookie, prefix string) string {
	parts := strings.Split(cookie, ";")
	for i, part := range parts[1:] {
		name, path, ok := strings.Cut(part, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "Path") {
			continue
		}
		if path = strings.TrimSpace(path); path == "/" {
			path = prefix // a cookie of /app/ would not be sent to /app
		} else {
			path = restorePath(path, prefix)
		}
		parts[i+1] = name + "=" + path
	}
	return strings.Join(parts, ";")
}

// A RewriteSection is rewrite = {...}.
type RewriteSection struct {
	StripPrefix     []string `toml:"strip_prefix"`
	RedirectToSlash bool     `toml:"redirect_to_slash"`
	RestorePrefix   bool     `toml:"restore_prefix"`
	AddPrefix       string   `toml:"add_prefix"`
	Path            string   `toml:"path"`
	Regex           string   `toml:"regex"`
	Replacement     string   `toml:"replacement"`
}

// Parse checks s.
func (s RewriteSection) Parse(p value.Parser) Step {
	out := Rewrite{
		Slash: s.RedirectToSlash, Restore: s.RestorePrefix,
		AddPrefix: strings.TrimSuffix(canonicalPath(p, "add_prefix", s.AddPrefix), "/"),
		Path:      canonicalPath(p, "path", s.Path),
		Regexp:    p.Regexp(s.Regex, "regex"), Replacement: s.Replacement,
	}
	for i, prefix := range s.StripPrefix {
		out.StripPrefix = append(out.StripPrefix, canonicalPath(p, fmt.Sprintf("strip_prefix[%d]", i), prefix))
	}
	if len(s.StripPrefix) == 0 {
		if s.RedirectToSlash {
			p.Bad("redirect_to_slash", "belongs to strip_prefix, which is missing")
		}
		if s.RestorePrefix {
			p.Bad("restore_prefix", "belongs to strip_prefix, which is missing")
		}
		if s.AddPrefix == "" && s.Path == "" && s.Regex == "" && s.Replacement == "" {
			p.Bad("", "rewrites nothing: want strip_prefix, add_prefix, path, or regex with replacement")
		}
	}
	if (s.Regex == "") != (s.Replacement == "") {
		p.Bad("replacement", "regex and replacement belong together")
	} else if s.Regex != "" && !strings.HasPrefix(s.Replacement, "/") && !strings.HasPrefix(s.Replacement, "$") {
		p.Bad("replacement", fmt.Sprintf("%q is no path: it begins with a slash, or with a group", s.Replacement))
	}
	return out
}

// canonicalPath checks a path of the configuration; "" stays that.
func canonicalPath(p value.Parser, key, path string) string {
	if path == "" {
		return ""
	}
	out, err := route.CanonicalPath(nil, []byte(path))
	if err != nil {
		p.Bad(key, fmt.Sprintf("%q: %v", path, err))
	}
	return string(out)
}
