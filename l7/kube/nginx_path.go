package kube

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// nginxHosts is what all Ingresses together say of hosts.
type nginxHosts struct {
	names map[string]bool // that rules have
	// regexps are those of which the paths are expressions, because one Ingress
	// of the namespace asks for that.
	regexps map[nginxHost]bool
}

// A nginxHost is a host as Ingresses of one namespace have it.
type nginxHost struct{ namespace, host string }

func newNginxHosts(ingresses []*netv1.Ingress) nginxHosts {
	h := nginxHosts{names: map[string]bool{}, regexps: map[nginxHost]bool{}}
	for _, ing := range ingresses {
		if nginxSays(ing.Annotations, "canary") {
			continue // its rules are another's
		}
		for _, r := range ing.Spec.Rules {
			host, err := canonicalHost(r.Host)
			if err != nil {
				continue
			}
			h.names[host] = true
			if nginxExpressions(ing.Annotations, r.HTTP) {
				h.regexps[nginxHost{ing.Namespace, host}] = true
			}
		}
	}
	return h
}

// nginxCertified returns the hosts that an Ingress has a certificate for, some of
// them wildcards, once each.
func nginxCertified(ing *netv1.Ingress) (out []nginxHost) {
	if len(ing.Spec.TLS) == 0 || nginxSays(ing.Annotations, "canary") {
		return nil
	}
	add := func(host string) {
		c, err := canonicalHost(host)
		if h := (nginxHost{ing.Namespace, c}); err == nil && c != "" && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, t := range ing.Spec.TLS {
		for _, host := range t.Hosts {
			add(host)
		}
		if len(t.Hosts) > 0 {
			continue
		}
		for _, r := range ing.Spec.Rules { // it is for all of them
			add(r.Host)
		}
	}
	return out
}

// nginxOtherHosts returns the hosts that an Ingress may have rules for beside
// hosts, those of its rules: the aliases of one of them, and those with www, or
// without.
func nginxOtherHosts(ing *netv1.Ingress, hosts []string) (out []string) {
	for name := range strings.SplitSeq(ing.Annotations[nginxPrefix+"server-alias"], ",") {
		if host, err := canonicalHost(strings.TrimSpace(name)); err == nil && host != "" {
			out = append(out, host)
		}
	}
	if nginxSays(ing.Annotations, "from-to-www-redirect") {
		for _, host := range hosts {
			out = append(out, nginxWWW(host))
		}
	}
	return out
}

// nginxWWW returns a host with www, or without.
func nginxWWW(host string) string {
	if other, ok := strings.CutPrefix(host, "www."); ok {
		return other
	}
	return "www." + host
}

// nginxExpressions reports whether an Ingress makes the paths of a rule's host
// expressions: by use-regex, or by a rewrite-target that is another path.
func nginxExpressions(annotations map[string]string, http *netv1.HTTPIngressRuleValue) bool {
	if nginxSays(annotations, "use-regex") {
		return true
	}
	target := strings.TrimSpace(annotations[nginxPrefix+"rewrite-target"])
	if target == "" || http == nil {
		return false
	}
	for _, p := range http.Paths {
		if p.Path != target {
			return true
		}
	}
	return false
}

// nginxSays reports whether an annotation is true.
func nginxSays(annotations map[string]string, key string) bool {
	b, err := strconv.ParseBool(strings.TrimSpace(annotations[nginxPrefix+key]))
	return b && err == nil
}

// hasTLS reports whether a certificate was meant for a host.
func (t *translation) hasTLS(namespace, host string) bool {
	if t.certified(nginxHost{namespace, host}) {
		return true
	}
	_, rest, ok := strings.Cut(host, ".")
	return ok && t.certified(nginxHost{namespace, "*." + rest})
}

func (t *translation) certified(h nginxHost) bool {
	return t.reads.certified.set(h, t.of.certified[h] > 0)
}

// A nginxPath is what an Ingress asks for of its paths.
type nginxPath struct {
	regexp bool
	// target is rewrite-target, written as a Replacement; rewrites is whether
	// there is one.
	target   string
	rewrites bool
}

// nginxPath reads use-regex and rewrite-target. A target that cannot be read
// would show endpoints other paths than those that are meant for strangers.
func (n notes) nginxPath() nginxPath {
	p := nginxPath{regexp: n.flag("use-regex", false), rewrites: n.has("rewrite-target")}
	if !p.rewrites {
		return p
	}
	target := n.text("rewrite-target")
	groups, unknown := nginxGroups(target)
	switch {
	case unknown != "":
		n.refuse("rewrite-target", "%s is nothing that stands for a part of the path: write $1 to $9 for the groups of the path", unknown)
	case strings.Contains(target, "://"):
		n.refuse("rewrite-target", "%q leads to another host: write a path, or use temporal-redirect", target)
	case strings.ContainsAny(target, " \t#\\"):
		n.refuse("rewrite-target", "%q is no path: correct it", target)
	case !isTarget(groups):
		n.refuse("rewrite-target", "%q would lead to no path that endpoints are asked for: write one without . and .. and with %%XX for what is special", target)
	}
	p.target = groups
	return p
}

// anyGroup stands for a part of the path in a Replacement.
var anyGroup = regexp.MustCompile(`\$\{?\w+\}?`)

// isTarget reports whether a Replacement gives a path that can be asked for,
// whatever its groups are, as far as it says so itself.
func isTarget(replacement string) bool {
	path, _, _ := strings.Cut(replacement, "?")
	if path = anyGroup.ReplaceAllString(path, "x"); !strings.HasPrefix(path, "/") {
		return path == "" || path != replacement // a group may begin with it
	}
	for elem := range strings.SplitSeq(path, "/") {
		if elem == "." || elem == ".." {
			return false
		}
	}
	_, err := route.CanonicalPath(nil, []byte(path))
	return err == nil
}

// nginxGroups writes a target of nginx, where $1 to $9 are groups, as a
// Replacement, and returns a variable that is none of them.
func nginxGroups(target string) (out, unknown string) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(target, "$")
		b.WriteString(before)
		if !ok {
			return b.String(), unknown
		}
		if rest == "" || rest[0] < '1' || rest[0] > '9' {
			return "", "$" + rest
		}
		b.WriteString("${" + rest[:1] + "}")
		target = rest[1:]
	}
}

// nginxMeta are the characters that make a path more than one with dots in it.
const nginxMeta = `\()[]{}*+?|^$`

// pathOf makes s the rule that r is by the annotations, and returns how its path
// is changed. It reports false for a path that cannot be used, of which it has
// told.
func (i *nginxIngress) pathOf(t *translation, r rule, s *route.Spec) ([]route.Step, bool) {
	if r.Match == route.Default {
		return nil, true
	}
	if !i.d.hosts.regexps[nginxHost{r.Origin.Namespace, r.Host}] {
		if r.implied && r.written != "" {
			s.Match = route.Begins
		}
		return nil, t.canonical(r)
	}
	own := i.path.regexp || i.path.rewrites
	expr := r.written
	switch {
	case r.written == "":
		return nil, true // a rule for a host alone takes all of it
	case own || r.implied && strings.ContainsAny(r.written, nginxMeta):
	case !t.canonical(r):
		return nil, false
	case r.Match == route.Exact:
		expr = regexp.QuoteMeta(r.Path) + "$"
	case r.implied || r.Path == "/":
		expr = regexp.QuoteMeta(r.Path)
	default:
		expr = regexp.QuoteMeta(strings.TrimSuffix(r.Path, "/")) + "(?:/|$)"
	}
	// The longest one is tried first, as it is written.
	s.Path, s.Match, s.Priority = expr, route.Regexp, len(r.written)
	if !r.implied && r.Match == route.Prefix && !own {
		s.Priority = len(strings.TrimSuffix(r.written, "/")) + 1
	}
	if err := route.CheckRegexp(expr); err != nil {
		i.badPath(t, r, s, err)
		return nil, false
	}
	if !i.path.rewrites || i.path.target == r.written {
		return nil, true
	}
	return []route.Step{middleware.Rewrite{
		Regexp:      "^(?i:" + expr + ")(?s:.*)$",
		Replacement: i.path.target,
	}}, true
}

// badPath tells of an expression that cannot be read. Where its Ingress protects
// it, what begins like it answers 503 rather than be left to another rule.
func (i *nginxIngress) badPath(t *translation, r rule, s *route.Spec, err error) {
	then := "the rule is left out"
	if i.protected {
		literal := nginxLiteral(r.written)
		then = "what begins with " + literal + " answers 503"
		s.Path, s.Backend = regexp.QuoteMeta(literal), route.Backend{}
		t.add(*s)
	}
	t.problem(r.field+".path", "%q: %v: %s: write an expression without look-around and back references", r.written, err, then)
}

// nginxLiteral returns what all that an expression matches begins with, or less
// of it.
func nginxLiteral(expr string) string {
	depth := 0
	for _, c := range expr {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth <= 0 || strings.ContainsAny(expr, `[\`) { // where a parenthesis may be none
				return "/" // of two expressions
			}
		}
	}
	end := strings.IndexAny(expr, nginxMeta+".")
	if end > 0 && strings.IndexByte("{*?", expr[end]) >= 0 {
		end-- // that may be there no time
	}
	if end <= 0 || !utf8.ValidString(expr[:end]) {
		return "/"
	}
	return expr[:end]
}

// nginxAliases reads server-alias: other names for the hosts of the Ingress.
func (n notes) nginxAliases(hosts *nginxHosts) []nginxAlias {
	var out []nginxAlias
	for _, name := range n.list("server-alias") {
		host, err := canonicalHost(name)
		switch {
		case err != nil || host == "":
			n.bad("server-alias", "%q is no host name, it is left out: write a DNS name, or one whose first label is *", name)
		case hosts.names[host]:
			n.bad("server-alias", "%s has rules of its own, or is an alias already, it is left out: remove one of the two", host)
		case n.t.owns("", annotation(n.found["server-alias"].name), host):
			hosts.names[host] = true
			out = append(out, nginxAlias{host, n.t.origin})
		}
	}
	return out
}

// A nginxAlias is another name for the first host of an Ingress.
type nginxAlias struct {
	host  string
	owner route.Origin
}

// copyAliases has each alias answer as the host that it stands for, with all
// rules of its namespace.
func (d *nginx) copyAliases(t *translation) {
	for _, a := range d.aliases {
		first := slices.IndexFunc(t.Specs, func(s route.Spec) bool { return s.Origin == a.owner && s.Host != "" })
		if first < 0 {
			continue
		}
		for host, specs := t.Specs[first].Host, t.Specs; len(specs) > 0; specs = specs[1:] {
			if s := specs[0]; s.Host == host && s.Origin.Namespace == a.owner.Namespace {
				s.Host = a.host
				t.add(s)
			}
		}
	}
}
