package kube

import (
	"regexp"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// A traefikRedirect is where the requests of an Ingress are sent.
type traefikRedirect struct {
	// root is for those of its path "/" that ask for exactly that, in the place
	// of other.
	root, other []route.Step
	// ssl is behind both.
	ssl []route.Step
}

// of returns the redirects of a rule.
func (d traefikRedirect) of(r rule) []route.Step {
	first := d.other
	if d.root != nil && (r.written == "/" || r.written == "") && r.Match != route.Default {
		first = d.root
	}
	return slices.Concat(first, d.ssl)
}

// traefikRedirect reads the annotations that redirect: app-root, an entrypoint
// before an expression, and ssl-redirect.
func (n notes) traefikRedirect() traefikRedirect {
	permanent := n.flag("redirect-permanent", false)
	d := traefikRedirect{ssl: n.sslRedirect()}
	if root := n.text("app-root"); root != "" {
		d.root = []route.Step{middleware.Redirect{From: "/", To: "/" + strings.TrimLeft(root, "/"), Permanent: permanent}}
	}
	switch {
	case n.has("redirect-entry-point"):
		d.other = n.toEntrypoint(permanent)
	case n.has("redirect-regex") || n.has("redirect-replacement"):
		d.other = n.byRegexp(permanent)
	}
	return d
}

func (n notes) toEntrypoint(permanent bool) []route.Step {
	name := n.text("redirect-entry-point")
	for _, e := range n.t.opt.Entrypoints {
		if e.Name == name {
			return []route.Step{middleware.Redirect{Scheme: e.Scheme, Port: e.Port, Entrypoint: name, Permanent: permanent}}
		}
	}
	n.bad("redirect-entry-point", "%q is no entrypoint, nobody is redirected: name one of the configuration's", name)
	return nil
}

func (n notes) byRegexp(permanent bool) []route.Step {
	expr, replacement := n.text("redirect-regex"), n.text("redirect-replacement")
	switch _, err := regexp.Compile(expr); {
	case expr == "":
		n.bad("redirect-replacement", "stands without redirect-regex, nobody is redirected: add it")
	case replacement == "":
		n.bad("redirect-regex", "stands without redirect-replacement, nobody is redirected: add it")
	case err != nil:
		n.bad("redirect-regex", "%v, nobody is redirected: correct it", err)
	default:
		return []route.Step{middleware.Redirect{Regexp: expr, Replacement: replacement, Permanent: permanent}}
	}
	return nil
}

// sslRedirect reads ssl-redirect and what belongs to it. Whether a request came
// by HTTPS is what the entrypoint says, or a proxy that it trusts.
func (n notes) sslRedirect() []route.Step {
	host := n.text("ssl-host")
	if host != "" {
		canonical, err := canonicalHost(host)
		if err != nil || strings.HasPrefix(canonical, "*") {
			n.bad("ssl-host", "%q is no host name, it is left out: correct it", host)
			canonical = ""
		}
		host = canonical
	}
	if n.flag("is-development", false) {
		return nil
	}
	permanent := !n.flag("ssl-temporary-redirect", false)
	force := host != "" && n.flag("ssl-force-host", false)
	switch secure := n.flag("ssl-redirect", false); {
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
