package kube

import (
	"regexp"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// traefikRedirect returns the redirect of a rule: app-root before an entrypoint
// before an expression, and behind it what ssl-redirect asks for.
func (i *traefikIngress) traefikRedirect(r rule) []route.Step {
	permanent := i.flag("redirect-permanent", false)
	var out []route.Step
	switch root := i.text("app-root"); {
	case root != "" && (r.written == "/" || r.written == "") && r.Match != route.Default:
		out = append(out, middleware.Redirect{From: "/", To: "/" + strings.TrimLeft(root, "/"), Permanent: permanent})
	case i.has("redirect-entry-point"):
		out = i.toEntrypoint(permanent)
	case i.has("redirect-regex") || i.has("redirect-replacement"):
		out = i.byRegexp(permanent)
	}
	return append(out, i.sslRedirect()...)
}

func (i *traefikIngress) toEntrypoint(permanent bool) []route.Step {
	name := i.text("redirect-entry-point")
	for _, e := range i.t.opt.Entrypoints {
		if e.Name == name {
			return []route.Step{middleware.Redirect{Scheme: e.Scheme, Port: e.Port, Entrypoint: name, Permanent: permanent}}
		}
	}
	i.once("redirect-entry-point", "%q is no entrypoint, nobody is redirected: name one of the configuration's", name)
	return nil
}

func (i *traefikIngress) byRegexp(permanent bool) []route.Step {
	expr, replacement := i.text("redirect-regex"), i.text("redirect-replacement")
	switch _, err := regexp.Compile(expr); {
	case expr == "":
		i.once("redirect-replacement", "stands without redirect-regex, nobody is redirected: add it")
	case replacement == "":
		i.once("redirect-regex", "stands without redirect-replacement, nobody is redirected: add it")
	case err != nil:
		i.once("redirect-regex", "%v, nobody is redirected: correct it", err)
	default:
		return []route.Step{middleware.Redirect{Regexp: expr, Replacement: replacement, Permanent: permanent}}
	}
	return nil
}

// sslRedirect reads ssl-redirect and what belongs to it. Whether a request came
// by HTTPS is what the entrypoint says, or a proxy that it trusts.
func (i *traefikIngress) sslRedirect() []route.Step {
	host := i.text("ssl-host")
	if host != "" {
		canonical, err := canonicalHost(host)
		if err != nil || strings.HasPrefix(canonical, "*") {
			i.once("ssl-host", "%q is no host name, it is left out: correct it", host)
			canonical = ""
		}
		host = canonical
	}
	if i.flag("is-development", false) {
		return nil
	}
	permanent := !i.flag("ssl-temporary-redirect", false)
	force := host != "" && i.flag("ssl-force-host", false)
	switch secure := i.flag("ssl-redirect", false); {
	case force && secure:
		return []route.Step{middleware.Redirect{Scheme: "https", Host: host, Permanent: permanent}}
	case force:
		return []route.Step{middleware.Redirect{Host: host, Permanent: permanent}}
	case secure && host != "":
		return []route.Step{middleware.Redirect{Regexp: "^http://[^/?]*", Replacement: "https://" + host, Permanent: permanent}}
	case secure:
		return []route.Step{middleware.Redirect{Scheme: "https", Permanent: permanent}}
	}
	return nil
}

// once is bad for what is read again for each path.
func (i *traefikIngress) once(key, format string, args ...any) {
	n := len(i.t.Problems)
	i.bad(key, format, args...)
	if last := i.t.Problems[n]; slices.Contains(i.t.Problems[:n], last) {
		i.t.Problems = i.t.Problems[:n]
	}
}
