package kube

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/route"
)

// ingress reads one Ingress.
func (t *translation) ingress(ing *netv1.Ingress) {
	t.origin = originOf(ing)
	t.refused = false
	first := len(t.Specs)
	o := &object{"Ingress", &ing.ObjectMeta}
	read := t.dialect.ingress(t, o)
	var byDefault *route.Backend
	if ing.Spec.DefaultBackend != nil {
		b := t.backend("spec", ".defaultBackend", ing.Spec.DefaultBackend)
		byDefault = &b
		if t.owns("spec", ".defaultBackend", "") {
			t.fallback(read, "", b)
		}
	} else if len(ing.Spec.Rules) == 0 {
		t.problem("spec", "has neither rules nor defaultBackend: add one of them")
	}
	for i := range ing.Spec.Rules {
		t.rule(read, ruleField(i), &ing.Spec.Rules[i], byDefault)
	}
	t.strange(o)
	t.named(o, t.Specs[first:])
	if t.refused {
		for i := range t.Specs[first:] {
			s := &t.Specs[first+i]
			s.Backend, s.Choices, s.Steps = route.Backend{}, nil, nil
		}
	}
}

func originOf(ing *netv1.Ingress) route.Origin {
	return route.Origin{
		Kind:      "Ingress",
		Namespace: ing.Namespace,
		Name:      ing.Name,
		Created:   ing.CreationTimestamp.UTC(),
	}
}

// rule reads one rule. byDefault is the Ingress's default backend, or nil.
func (t *translation) rule(read ruleReader, field string, r *netv1.IngressRule, byDefault *route.Backend) {
	host, err := canonicalHost(r.Host)
	if err != nil {
		t.problem(field+".host", "%q: %v: write a DNS name, or one whose first label is *", r.Host, err)
		return
	}
	if !t.owns(field, ".host", host) {
		return
	}
	if r.HTTP == nil || len(r.HTTP.Paths) == 0 {
		// IngressRuleValue: without paths a rule takes all of its host.
		if byDefault == nil {
			t.problem(field+".http", "is missing, and so is spec.defaultBackend, which would answer: add paths or a defaultBackend")
			return
		}
		read.rule(t, rule{
			Spec:    t.spec(host, "/", route.Prefix, *byDefault),
			field:   field + ".http",
			written: "/",
		})
		return
	}
	for i := range r.HTTP.Paths {
		t.path(read, pathField(field, i), host, &r.HTTP.Paths[i])
	}
	if byDefault != nil && host != "" {
		// What of this host no rule takes goes to this Ingress's default
		// backend, not to that of an older Ingress.
		t.fallback(read, host, *byDefault)
	}
}

// ruleField and pathField are the places of a rule and of a path of it. Nearly
// all are the first ones.
func ruleField(i int) string {
	if i == 0 {
		return firstRule
	}
	return "spec.rules[" + strconv.Itoa(i) + "]"
}

func pathField(rule string, i int) string {
	if rule == firstRule && i == 0 {
		return firstRule + ".http.paths[0]"
	}
	return rule + ".http.paths[" + strconv.Itoa(i) + "]"
}

const firstRule = "spec.rules[0]"

// spec is a rule of the Ingress that is being read, by the API alone.
func (t *translation) spec(host, path string, m route.Match, b route.Backend) route.Spec {
	return route.Spec{Host: host, Path: path, Match: m, Backend: b, Entrypoints: t.opt.DefaultEntrypoints, Origin: t.origin}
}

// fallback reads the default backend, of a host that several rules may name.
func (t *translation) fallback(read ruleReader, host string, b route.Backend) {
	for _, s := range slices.Backward(t.Specs) {
		if s.Origin != t.origin {
			break
		}
		if s.Host == host && s.Match == route.Default {
			return
		}
	}
	read.rule(t, rule{
		Spec:    t.spec(host, "/", route.Default, b),
		field:   "spec.defaultBackend",
		written: "/",
	})
}

func (t *translation) path(read ruleReader, field, host string, p *netv1.HTTPIngressPath) {
	var room [64]byte
	path, err := route.CanonicalPath(room[:0], []byte(p.Path))
	r := rule{
		Spec:    t.spec(host, sameOr(p.Path, path), route.Prefix, route.Backend{}),
		field:   field,
		written: p.Path,
		err:     err,
		implied: true,
	}
	if p.PathType != nil {
		switch *p.PathType {
		case netv1.PathTypeExact:
			r.Match, r.implied = route.Exact, false
		case netv1.PathTypePrefix:
			r.implied = false
		case netv1.PathTypeImplementationSpecific:
		default:
			t.problem(field+".pathType", "%q is no path type: write Exact, Prefix or ImplementationSpecific", *p.PathType)
			return
		}
	}
	r.Backend = t.backend(field, ".backend", &p.Backend)
	read.rule(t, r)
}

// backend returns the zero Backend, which answers 503, for one that cannot be
// served: a rule that vanished would hand its requests to another one. It is the
// field of in.
func (t *translation) backend(in, field string, b *netv1.IngressBackend) route.Backend {
	switch s := b.Service; {
	case b.Resource != nil:
		t.problem(in+field+".resource", "%s %q cannot be served, the rule answers 503: name a service", b.Resource.Kind, b.Resource.Name)
	case s == nil || s.Name == "":
		t.problem(in+field+".service", "is missing, the rule answers 503: name a service and its port")
	case (s.Port.Name == "") == (s.Port.Number == 0):
		t.problem(in+field+".service.port", "needs either a name or a number, the rule answers 503: write one of them")
	case s.Port.Name != "":
		return route.Backend{Namespace: t.origin.Namespace, Service: s.Name, Port: s.Port.Name}
	default:
		return route.Backend{Namespace: t.origin.Namespace, Service: s.Name, Port: strconv.Itoa(int(s.Port.Number))}
	}
	return route.Backend{}
}

// canonicalHost is route.CanonicalHost for the host of a rule, which may be a
// wildcard but no address and has no port.
func canonicalHost(host string) (string, error) {
	if strings.ContainsAny(host, ":[]") {
		return "", errors.New("an address or a port is no host name")
	}
	var room [64]byte
	name, wildcard := strings.CutPrefix(host, "*.")
	c, err := route.CanonicalHost(room[:0], []byte(name))
	switch {
	case err != nil:
		return "", err
	case wildcard && len(c) == 0:
		return "", errors.New("the wildcard stands alone")
	case wildcard && string(c) != name:
		return "*." + string(c), nil
	case wildcard:
		return host, nil
	}
	return sameOr(host, c), nil
}

// sameOr returns what b says: mostly that is s, which need not be copied.
func sameOr(s string, b []byte) string {
	if string(b) == s {
		return s
	}
	return string(b)
}
