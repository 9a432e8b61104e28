package kube

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// nginxRedirects reads app-root, and temporal-redirect before
// permanent-redirect.
func (n notes) nginxRedirects() []route.Step {
	var out []route.Step
	if root := n.text("app-root"); root != "" {
		if root[0] != '/' || strings.HasPrefix(root, "//") || strings.ContainsAny(root, "$\\ ") {
			n.bad("app-root", "%q is no path, nobody is redirected: write one that begins with a slash", root)
		} else {
			out = append(out, middleware.Redirect{From: "/", To: root, Status: http.StatusFound})
		}
	}
	key, otherwise := "temporal-redirect", http.StatusFound
	if !n.has(key) {
		key, otherwise = "permanent-redirect", http.StatusMovedPermanently
	}
	if !n.has(key) {
		return out
	}
	status := int(n.number(key+"-code", int64(otherwise), 300, 308))
	if !slices.Contains([]int{301, 302, 303, 307, 308}, status) {
		n.bad(key+"-code", "%d is no redirect, it counts as %d: write 301, 302, 303, 307 or 308", status, otherwise)
		status = otherwise
	}
	r, ok := nginxRedirect(n.text(key))
	if !ok {
		n.bad(key, "%q is no URL, or holds a variable that is not known, nobody is redirected: write one such as https://example.com$request_uri", n.text(key))
		return out
	}
	r.Status = status
	return append(out, r)
}

// nginxURL takes the URL apart that a client has asked for.
const nginxURL = `^(https?)://(\[[^\]]*\]|[^/:?]*)((?::[0-9]*)?)([^?]*)(\??)(.*)$`

// nginxVariables are parts of it.
var nginxVariables = strings.NewReplacer(
	"$scheme", "${1}", "$http_host", "${2}${3}", "$best_http_host", "${2}${3}", "$host", "${2}",
	"$request_uri", "${4}${5}${6}", "$uri", "${4}", "$is_args", "${5}", "$args", "${6}", "$query_string", "${6}",
)

// nginxRedirect reads the URL of a redirect.
func nginxRedirect(to string) (middleware.Redirect, bool) {
	replacement := nginxVariables.Replace(to)
	example := strings.NewReplacer("${1}", "https", "${2}", "host", "${3}", "", "${4}", "/", "${5}", "", "${6}", "").Replace(replacement)
	u, err := url.Parse(example)
	switch {
	case err != nil || strings.Contains(example, "$") || u.User != nil:
		return middleware.Redirect{}, false
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	case u.Scheme == "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(example, "//") && replacement == to:
	default:
		return middleware.Redirect{}, false
	}
	if replacement == to {
		return middleware.Redirect{To: to}, true
	}
	return middleware.Redirect{Regexp: nginxURL, Replacement: replacement}, true
}

// nginxToTLS reads ssl-redirect, which holds for hosts that have a certificate
// unless it says no, and force-ssl-redirect, which holds for all.
func (n notes) nginxToTLS() func(host string) []route.Step {
	forced, wanted := n.flag("force-ssl-redirect", false), n.flag("ssl-redirect", true)
	to := middleware.Redirect{Scheme: "https", Status: http.StatusPermanentRedirect}
	there := false
	for _, e := range n.t.opt.Entrypoints {
		defaults := n.t.opt.DefaultEntrypoints
		if e.Scheme == "https" && (len(defaults) == 0 || slices.Contains(defaults, e.Name)) {
			to.Port, there = cmp.Or(to.Port, e.Port), true
		}
	}
	return func(host string) []route.Step {
		if forced || wanted && there && n.t.hasTLS(n.o.Namespace, host) {
			return []route.Step{to}
		}
		return nil
	}
}

// toWWW redirects the name with www, or without, to that of s, unless rules have
// it.
func (d *nginx) toWWW(t *translation, s route.Spec) {
	other := nginxWWW(s.Host)
	if s.Host == "" || strings.HasPrefix(s.Host, "*") || s.Backend == (route.Backend{}) || d.hosts.names[other] ||
		!t.owns("", annotation(nginxPrefix+"from-to-www-redirect"), other) {
		return
	}
	d.hosts.names[other] = true
	s.Steps = route.Steps{middleware.Redirect{Host: s.Host, Status: http.StatusPermanentRedirect}}
	s.Host, s.Path, s.Match, s.Priority = other, "/", route.Prefix, 0
	t.add(s)
}
