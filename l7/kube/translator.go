package kube

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// A Translator does what Routes does, one change after another, at the cost of
// what has changed: an Ingress more among ten thousand is to be served at once.
//
// Ingresses that have a host in common, directly or by way of others, are a part:
// nothing that one of them says is about a rule of another part. A part is read
// again, whole, when one of its Ingresses changes, or one of the answers that it
// was made of; see reads. Certificates are read for all Ingresses at once, as one
// wildcard may be in every tls: see certificates.
//
// One goroutine at a time may use it.
type Translator struct {
	opt   Options
	index *EndpointIndex
	// last are the objects of the last Update.
	last    Objects
	classes classes
	secrets map[string]*corev1.Secret // by "namespace/name"
	// entries are the Ingresses that are ours.
	entries map[*netv1.Ingress]*entry
	parts   []*part
	nothing *seldom // of parts that have nothing of it; nobody changes it
	byHost  map[string]*part
	// certified counts the Ingresses with a tls for a host; see nginxCertified.
	certified map[nginxHost]int
	tls       certificates
	problems  []Problem
	policies  map[route.Backend]backend.Policy
}

// NewTranslator returns one that has read nothing. It goes by the Services and
// EndpointSlices that x has when Update is called, and is to be the only one that
// does.
func NewTranslator(opt Options, x *EndpointIndex) *Translator {
	return &Translator{
		opt:       opt,
		index:     x,
		secrets:   make(map[string]*corev1.Secret),
		entries:   make(map[*netv1.Ingress]*entry),
		byHost:    make(map[string]*part),
		nothing:   &seldom{},
		certified: make(map[nginxHost]int),
	}
}

// A Change is what an Update has changed.
type Change struct {
	// Hosts are the rules, of now, of the hosts whose rules may have changed.
	Hosts map[string][]route.Spec
	// Served says that the Ingresses that are ours have changed.
	Served bool
	// Policies, Problems and Certificates say that they may have; the last one
	// with the CertRequests.
	Policies, Problems, Certificates bool
}

// Empty reports whether nothing has changed.
func (c Change) Empty() bool {
	return len(c.Hosts) == 0 && !c.Served && !c.Policies && !c.Problems && !c.Certificates
}

// Update reads o.
func (t *Translator) Update(o *Objects) Change {
	r := revision{Translator: t, hosts: make(map[string][]route.Spec)}
	gone, come := t.changed(o)
	toggled := r.replace(gone, come)
	secrets := r.setSecrets(o.Secrets)
	r.outdated(toggled, secrets, len(gone)+len(come) > 0)
	r.translate()
	t.last = Objects{Ingresses: o.Ingresses, Classes: o.Classes, Secrets: o.Secrets}
	change := r.finish(len(secrets) > 0)
	change.Served = len(gone)+len(come) > 0
	return change
}

// changed returns the Ingresses that were served and are not any more, or are
// others now, and those that are new.
func (t *Translator) changed(o *Objects) (gone []*entry, come []*netv1.Ingress) {
	left, added := difference(t.last.Ingresses, o.Ingresses)
	if !slices.Equal(t.last.Classes, o.Classes) || t.classes.controllers == nil {
		t.classes = newClasses(o.Classes, t.opt.IngressClass)
		left, added = t.Served(), o.Ingresses
	}
	before := make(map[serviceName]*entry, len(left))
	for _, in := range left {
		if e := t.entries[in]; e != nil {
			before[serviceName{in.Namespace, in.Name}] = e
		}
	}
	come = make([]*netv1.Ingress, 0, len(added))
	for _, in := range added {
		name := serviceName{in.Namespace, in.Name}
		e := before[name]
		switch {
		case !t.classes.serve(in):
			continue
		case e != nil && (e.Ingress == in || sameButStatus(e.Ingress, in) && e.CreationTimestamp.Equal(&in.CreationTimestamp)):
			delete(t.entries, e.Ingress)
			e.Ingress = in
			t.entries[in] = e
			delete(before, name)
		default:
			come = append(come, in)
		}
	}
	return slices.Collect(maps.Values(before)), come
}

// Served returns the Ingresses that are ours.
func (t *Translator) Served() []*netv1.Ingress {
	return slices.AppendSeq(make([]*netv1.Ingress, 0, len(t.entries)), maps.Keys(t.entries))
}

// TLS and CertRequests come from the oldest Ingress first. The caller leaves them
// as they are, as he does all that follows.
func (t *Translator) TLS() []TLS { return t.tls.TLS }

// CertRequests are the hosts without a Secret.
func (t *Translator) CertRequests() []CertRequest { return t.tls.CertRequests }

// Problems are those of Ingresses and of the Services that they name.
func (t *Translator) Problems() []Problem { return t.problems }

// Policies are those of backends that differ from Options.Policy.
func (t *Translator) Policies() map[route.Backend]backend.Policy { return t.policies }

// Result returns everything.
func (t *Translator) Result() Result {
	r := Result{TLS: t.TLS(), CertRequests: t.CertRequests(), Problems: t.Problems(), Policies: t.Policies()}
	for _, p := range sortParts(slices.Clone(t.parts)) {
		r.Specs = append(r.Specs, p.specs...)
	}
	return r
}
