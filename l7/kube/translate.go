package kube

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/route"
)

// Options says how objects are read.
type Options struct {
	// IngressClass is the class served where no IngressClass object of that
	// name can be read, and the value of the annotation ClassAnnotation that
	// is served.
	IngressClass string
}

// A Result is what Routes makes of Objects.
type Result struct {
	// Specs and TLS come from the oldest Ingress first.
	Specs    []route.Spec
	TLS      []TLS
	Problems []Problem
}

// A TLS is one entry of an Ingress's tls whose Secret is there. Whether
// certificate and key are any good is for l7/certs to say: it keeps the
// previous pair of that Secret where the new one is broken.
type TLS struct {
	// Secret is "namespace/name".
	Secret string
	// Hosts are canonical; none means the names in the certificate.
	Hosts     []string
	Cert, Key []byte `json:"-"` // PEM
	Origin    route.Origin
}

// String leaves out the key, which must not get into a log.
func (t TLS) String() string { return fmt.Sprintf("%s for %s", t.Secret, t.Hosts) }

// Routes reads the rules and certificates of the Ingresses that are ours. It
// depends on Ingresses, Classes and Secrets alone: Services and endpoints come
// and go without a new table.
//
// A path of type ImplementationSpecific, or of none, is read as Prefix.
func Routes(o *Objects, opt Options) Result {
	t := translation{
		secrets: make(map[string]*corev1.Secret, len(o.Secrets)),
		served:  make(map[string]TLS),
	}
	for _, s := range o.Secrets {
		t.secrets[s.Namespace+"/"+s.Name] = s
	}
	classes := newClasses(o.Classes, opt.IngressClass)
	var ours []*netv1.Ingress
	for _, ing := range o.Ingresses {
		if classes.serve(ing) {
			ours = append(ours, ing)
		}
	}
	slices.SortFunc(ours, func(a, b *netv1.Ingress) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Name, b.Name),
		)
	})
	for _, ing := range ours {
		t.ingress(ing)
	}
	return t.Result
}

// A translation collects the Result. The fields in the middle are those of
// the Ingress that is being read.
type translation struct {
	Result
	origin route.Origin

	secrets map[string]*corev1.Secret
	served  map[string]TLS // by host
}

func (t *translation) problem(field, format string, args ...any) {
	t.Problems = append(t.Problems, Problem{Object: t.origin.String(), Field: field, Text: fmt.Sprintf(format, args...)})
}

func (t *translation) add(host, path string, m route.Match, b route.Backend) {
	t.Specs = append(t.Specs, route.Spec{Host: host, Path: path, Match: m, Backend: b, Origin: t.origin})
}

func (t *translation) ingress(ing *netv1.Ingress) {
	t.origin = route.Origin{
		Kind:      "Ingress",
		Namespace: ing.Namespace,
		Name:      ing.Name,
		Created:   ing.CreationTimestamp.UTC(),
	}
	var byDefault *route.Backend
	if ing.Spec.DefaultBackend != nil {
		b := t.backend("spec.defaultBackend", *ing.Spec.DefaultBackend)
		byDefault = &b
		t.add("", "/", route.Default, b)
	} else if len(ing.Spec.Rules) == 0 {
		t.problem("spec", "has neither rules nor defaultBackend: add one of them")
	}
	for i, r := range ing.Spec.Rules {
		t.rule(fmt.Sprintf("spec.rules[%d]", i), r, byDefault)
	}
	for i, entry := range ing.Spec.TLS {
		t.tls(fmt.Sprintf("spec.tls[%d]", i), entry)
	}
}

// rule reads one rule. byDefault is the Ingress's default backend, or nil.
func (t *translation) rule(field string, r netv1.IngressRule, byDefault *route.Backend) {
	host, err := canonicalHost(r.Host)
	if err != nil {
		t.problem(field+".host", "%q: %v: write a DNS name, or one whose first label is *", r.Host, err)
		return
	}
	if r.HTTP == nil || len(r.HTTP.Paths) == 0 {
		// IngressRuleValue: without paths a rule takes all of its host.
		if byDefault == nil {
			t.problem(field+".http", "is missing, and so is spec.defaultBackend, which would answer: add paths or a defaultBackend")
			return
		}
		t.add(host, "/", route.Prefix, *byDefault)
		return
	}
	for i, p := range r.HTTP.Paths {
		t.path(fmt.Sprintf("%s.http.paths[%d]", field, i), host, p)
	}
	if byDefault != nil && host != "" {
		// What of this host no rule takes goes to this Ingress's default
		// backend, not to that of an older Ingress.
		t.addOnce(host, *byDefault)
	}
}

// addOnce adds the default backend of a host that several rules may name.
func (t *translation) addOnce(host string, b route.Backend) {
	for _, s := range slices.Backward(t.Specs) {
		if s.Origin != t.origin {
			break
		}
		if s.Host == host && s.Match == route.Default {
			return
		}
	}
	t.add(host, "/", route.Default, b)
}

func (t *translation) path(field, host string, p netv1.HTTPIngressPath) {
	path, err := route.CanonicalPath(nil, []byte(p.Path))
	if err != nil {
		t.problem(field+".path", "%q: %v: correct it", p.Path, err)
		return
	}
	match := route.Prefix
	if p.PathType != nil {
		switch *p.PathType {
		case netv1.PathTypeExact:
			match = route.Exact
		case netv1.PathTypePrefix, netv1.PathTypeImplementationSpecific:
		default:
			t.problem(field+".pathType", "%q is no path type: write Exact, Prefix or ImplementationSpecific", *p.PathType)
			return
		}
	}
	t.add(host, string(path), match, t.backend(field+".backend", p.Backend))
}

// backend returns the zero Backend, which answers 503, for one that cannot be
// served: a rule that vanished would hand its requests to another one.
func (t *translation) backend(field string, b netv1.IngressBackend) route.Backend {
	switch s := b.Service; {
	case b.Resource != nil:
		t.problem(field+".resource", "%s %q cannot be served, the rule answers 503: name a service", b.Resource.Kind, b.Resource.Name)
	case s == nil || s.Name == "":
		t.problem(field+".service", "is missing, the rule answers 503: name a service and its port")
	case (s.Port.Name == "") == (s.Port.Number == 0):
		t.problem(field+".service.port", "needs either a name or a number, the rule answers 503: write one of them")
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
	name, wildcard := strings.CutPrefix(host, "*.")
	c, err := route.CanonicalHost(nil, []byte(name))
	switch {
	case err != nil:
		return "", err
	case wildcard && len(c) == 0:
		return "", errors.New("the wildcard stands alone")
	case wildcard:
		return "*." + string(c), nil
	}
	return string(c), nil
}
