package kube

import (
	"github.com/portico-lb/portico/l7/route"
)

// A Dialect says how an Ingress's annotations are read, and its paths of type
// ImplementationSpecific. Those of type Exact and Prefix mean in each what the
// API says of them.
type Dialect uint8

const (
	// Spec knows the API alone, and the annotations of portico.io.
	Spec Dialect = iota
	// Traefik17 is Traefik 1.7, from which many Ingresses still come.
	Traefik17
	// Nginx is ingress-nginx, from which most come today.
	Nginx
)

// Dialects are the names of the dialects, in their order.
func Dialects() []string { return []string{"spec", "traefik17", "nginx"} }

// String returns the name.
func (d Dialect) String() string { return Dialects()[d] }

// A dialect turns the rules of Ingresses into Specs. It may remember what it has
// seen of one translation.
//
// To add one: give it a name above, a case in newDialect, and a file of its
// own. It reads annotations by way of notes, adds Specs with translation.add,
// asks translation.owns before it does so for a host that an annotation names,
// says what it cannot use with translation.problem, and what it must not serve
// unprotected with translation.refuse. Golden files in testdata/NAME show each
// rule of it.
type dialect interface {
	// begin is called first, and forgets the translation before.
	begin()
	// ingress is called for each Ingress before its rules, the oldest Ingress
	// first, and returns who reads them. t's origin is that Ingress.
	ingress(t *translation, o *object) ruleReader
	// finish is called behind the last Ingress: for what it takes to have
	// seen all rules of a host.
	finish(t *translation)
}

// A ruleReader takes the rules of one Ingress: each path in turn, and a path "/" of
// Match Default for the default backend of the Ingress and of its hosts.
type ruleReader interface {
	rule(t *translation, r rule)
}

// A rule is one path of an Ingress, as the API has it.
type rule struct {
	// Spec is the rule read by the letter. Its Backend is the zero one where
	// that cannot be served, which has been told. Its Path is "" where written
	// has no canonical form, for which err is the reason, and which nobody has
	// been told of.
	route.Spec
	// field is its place in the Ingress: spec.rules[0].http.paths[1].
	field string
	// written is the path as it stands there, which may be empty.
	written string
	err     error
	// implied says that the pathType is ImplementationSpecific, or missing.
	implied bool
}

func newDialect(d Dialect) dialect {
	switch d {
	case Traefik17:
		return &traefik17{}
	case Nginx:
		return &nginx{}
	default:
		return bySpec{}
	}
}

// bySpec is the API alone. A path of type ImplementationSpecific, or of none,
// is read as Prefix.
type bySpec struct{}

func (s bySpec) ingress(*translation, *object) ruleReader { return s }
func (bySpec) begin()                                     {}
func (bySpec) finish(*translation)                        {}

func (bySpec) rule(t *translation, r rule) {
	if t.canonical(r) {
		t.add(r.Spec)
	}
}

// canonical reports whether r's path can be used as it is, and tells of one
// that cannot.
func (t *translation) canonical(r rule) bool {
	if r.err != nil {
		t.problem(r.field+".path", "%q: %v: correct it", r.written, r.err)
	}
	return r.err == nil
}
