package kube

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// A traefikPath is what an Ingress asks for of its paths.
type traefikPath struct {
	// kind is the rule-type, "" for none.
	kind string
	// target is rewrite-target, without the slash at its end; rewrites is
	// whether there is one.
	target   string
	rewrites bool
	// modifier is request-modifier as it lengthens a rule.
	modifier string
	change   middleware.Rewrite
	slash    bool
	restore  bool
}

// The rule-types.
const (
	rulePath            = "Path"
	rulePathPrefix      = "PathPrefix"
	rulePathStrip       = "PathStrip"
	rulePathPrefixStrip = "PathPrefixStrip"
	ruleReplacePath     = "ReplacePath"
)

// traefikPath reads the annotations that change paths. What cannot be read would
// show endpoints other paths than those that are meant for strangers.
func (n notes) traefikPath() traefikPath {
	p := traefikPath{
		kind:    n.text("rule-type"),
		slash:   n.flag("redirect-to-slash", false),
		restore: n.flag("restore-prefix", false),
	}
	switch p.kind {
	case "", rulePath, rulePathPrefix, rulePathStrip, rulePathPrefixStrip, ruleReplacePath:
	default:
		n.refuse("rule-type", "%q is no rule for a path: write Path, PathPrefix, PathStrip or PathPrefixStrip", p.kind)
	}
	if p.rewrites = n.has("rewrite-target"); p.rewrites {
		p.target = strings.TrimRight(n.text("rewrite-target"), "/")
		if !isTarget(p.target) {
			n.refuse("rewrite-target", "%q would lead to no path that endpoints are asked for: write one that begins with a slash, without . and ..", n.text("rewrite-target"))
		}
		if p.kind == ruleReplacePath {
			n.refuse("rewrite-target", "stands beside rule-type ReplacePath, which replaces the path too: remove one of them")
		}
	}
	if n.has("request-modifier") {
		p.modify(n)
	}
	return p
}

// modify reads request-modifier. Its value ends at a second colon, as in
// Traefik.
func (p *traefikPath) modify(n notes) {
	parts := strings.Split(strings.TrimRight(n.text("request-modifier"), " :"), ":")
	kind, value := strings.TrimSpace(parts[0]), ""
	if len(parts) > 1 {
		value = strings.TrimSpace(parts[1])
	}
	p.modifier = kind + ":" + value
	switch {
	case value == "":
		n.refuse("request-modifier", "%q has no value: write one such as \"AddPrefix: /app\"", n.text("request-modifier"))
	case p.kind == ruleReplacePath:
		n.refuse("request-modifier", "stands beside rule-type ReplacePath, which replaces the path too: remove one of them")
	case kind == "AddPrefix":
		p.change.AddPrefix = value
	case kind == "ReplacePath":
		p.change.Path = value
	case kind == "ReplacePathRegex":
		expr, replacement, _ := strings.Cut(value, " ")
		if _, err := regexp.Compile(expr); err != nil || strings.TrimSpace(replacement) == "" {
			n.refuse("request-modifier", "%q is not a regular expression and a replacement: write one such as \"ReplacePathRegex: ^/api/(.*) /$1\"", value)
			return
		}
		p.change.Regexp, p.change.Replacement, p.change.Tell = expr, strings.TrimSpace(replacement), true
	default:
		n.refuse("request-modifier", "%q changes no path: write AddPrefix, ReplacePath or ReplacePathRegex", kind)
	}
	if v := p.change.AddPrefix + p.change.Path; v != "" && (v[0] != '/' || !isCanonical(v)) {
		n.refuse("request-modifier", "%q is no path: write one that begins with a slash", v)
	}
	p.change.Tell = p.change.Tell || p.change.Path != ""
}

func isCanonical(path string) bool {
	c, err := route.CanonicalPath(nil, []byte(path))
	return err == nil && string(c) == path
}

// apply makes s the rule that r is by the annotations, and returns how the path
// is changed. It reports false for a path that cannot be used, of which it has
// told.
func (p *traefikPath) apply(t *translation, r rule, s *route.Spec) ([]route.Step, bool) {
	kind := p.kind
	if kind == "" {
		kind = rulePathPrefix
	}
	template := r.implied && strings.Contains(r.written, "{")
	if !template && !t.canonical(r) {
		return nil, false
	}
	s.Priority = p.length(kind, r)
	change := p.change
	exact := kind == rulePath || kind == rulePathStrip
	switch {
	case r.written == "":
		return p.step(change), true // a rule for a host alone takes all of it
	case kind == ruleReplacePath:
		s.Path, s.Match = "/", route.Begins
		change.Path, change.Tell = r.Path, true
	case template:
		expr, err := templateRegexp(r.written, exact)
		if err != nil {
			t.problem(r.field+".path", "%q: %v: correct it", r.written, err)
			return nil, false
		}
		s.Path, s.Match = "(?-i:"+expr+")", route.Regexp
		if strings.HasSuffix(kind, "Strip") {
			change.Regexp, change.Replacement = "^(?:"+expr+")", "/"
		}
	case exact:
		s.Match = route.Exact
	case r.implied:
		s.Match = route.Begins
	}
	if !template && strings.HasSuffix(kind, "Strip") {
		change.StripPrefix, change.Characters = []string{r.Path}, s.Match == route.Begins
		change.Slash, change.Restore = p.slash, p.restore
	}
	if p.rewrites && change.Regexp == "" && change.Path == "" {
		p.retarget(&change, r, template)
	}
	return p.step(change), true
}

// step returns the step for a change, if it is one.
func (p *traefikPath) step(change middleware.Rewrite) []route.Step {
	if len(change.StripPrefix) == 0 && change.AddPrefix == "" && change.Path == "" && change.Regexp == "" {
		return nil
	}
	return []route.Step{change}
}

// retarget has the rule's path replaced by rewrite-target.
func (p *traefikPath) retarget(change *middleware.Rewrite, r rule, template bool) {
	from := regexp.QuoteMeta(r.Path)
	switch {
	case template:
		from, _ = templateRegexp(r.written, false)
	case r.written == "/":
		from = ""
	}
	rest := regexp.MustCompile(from).NumSubexp() + 1 // a template's may have groups
	change.Regexp, change.Replacement, change.Tell = "^"+from+"(.*)", fmt.Sprintf("%s${%d}", p.target, rest), true
}

// otherSlashes sends who asks for the path of a rule-type Path with another slash
// at its end to the rule's path, as Traefik does, unless a rule has that.
func (d *traefik17) otherSlashes(t *translation) {
	if len(d.exact) == 0 {
		return
	}
	type place struct{ host, path string }
	taken := make(map[place]bool, len(d.exact))
	for i := range t.Specs {
		if s := &t.Specs[i]; s.Match == route.Exact {
			taken[place{s.Host, s.Path}] = true
		}
	}
	for _, i := range d.exact {
		s := t.Specs[i]
		to := middleware.Redirect{Regexp: `^([^?]*)/(\?.*)?$`, Replacement: "${1}${2}", Permanent: true}
		other, ends := strings.CutSuffix(s.Path, "/")
		if ends {
			to.Regexp, to.Replacement = `^([^?]*)(\?.*)?$`, "${1}/${2}"
		} else {
			other += "/"
		}
		if other == "" || s.Backend == (route.Backend{}) || taken[place{s.Host, other}] {
			continue
		}
		taken[place{s.Host, other}] = true
		s.Path, s.Steps, s.Choices = other, []route.Step{to}, nil
		t.add(s)
	}
}

// length is the priority of a rule of which none says more: the number of
// characters that Traefik writes it with. What the API defines counts as a
// PathPrefix whatever else is asked for, so that the longest path stays first
// among such rules.
func (p *traefikPath) length(kind string, r rule) int {
	n := 0
	switch {
	case r.written == "":
	case r.implied:
		n = len(kind) + len(":") + len(r.written)
		if p.rewrites {
			from := r.written
			if from == "/" {
				from = ""
			}
			n += len(";ReplacePathRegex: ^(.*) $1") + len(from) + len(p.target)
		}
		if p.modifier != "" {
			n += len(";") + len(p.modifier)
		}
	default:
		n = len(rulePathPrefix) + len(":") + len(r.written)
	}
	const anyLabel = "{subdomain:[A-Za-z0-9-_]+}"
	switch host, wild := strings.CutPrefix(r.Host, "*"); {
	case wild:
		n += len("HostRegexp:") + len(anyLabel) + len(host)
	case host != "":
		n += len("Host:") + len(host)
	}
	return n
}

// templateRegexp returns the regular expression of a path with {name} or
// {name:expression} in it.
func templateRegexp(path string, whole bool) (string, error) {
	var b strings.Builder
	rest := path
	for {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(regexp.QuoteMeta(before))
		if !ok {
			break
		}
		end := closing(after)
		if end < 0 {
			return "", errBrace
		}
		if _, expr, named := strings.Cut(after[:end], ":"); named {
			b.WriteString("(?:" + expr + ")")
		} else {
			b.WriteString("[^/]+")
		}
		rest = after[end+1:]
	}
	if whole {
		b.WriteString("$")
	}
	return b.String(), route.CheckRegexp(b.String())
}

// closing returns where the brace closes that s follows on, -1 for nowhere.
func closing(s string) int {
	depth := 1
	for i, c := range s {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
