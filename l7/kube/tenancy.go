package kube

import (
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/route"
)

// HostOwners say which namespaces may have rules and certificates for a host. A
// key is a host, "*." before a domain for all hosts below it, however deep, or
// "*" for all; the most specific one counts. Its value are namespaces, "*" for
// all. A host that no key covers belongs to the namespace whose Ingress had it
// first: nobody is to get another's requests by an Ingress of his own.
type HostOwners map[string][]string

// of returns the namespaces that host belongs to. ok is false where no key
// covers it.
func (o HostOwners) of(host string) (namespaces []string, ok bool) {
	if n, ok := o[host]; ok {
		return n, true
	}
	for rest := host; rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		if n, ok := o["*."+rest]; ok {
			return n, true
		}
	}
	n, ok := o["*"]
	return n, ok
}

// A claim is an Ingress's wish for a host.
type claim struct {
	origin route.Origin
	host   string
}

// owns reports whether the Ingress that is being read may have host, and tells
// of it, once, where it may not. Of the hosts that the configuration does not give away it takes those
// that are free. Rules without a host are of all namespaces: those that have one
// come first.
//
// What is told of is the field of in, which is put together for that alone.
func (t *translation) owns(in, field, host string) bool {
	namespaces, given := t.opt.HostOwners.of(host)
	switch {
	case given && (slices.Contains(namespaces, t.origin.Namespace) || slices.Contains(namespaces, "*")):
		return true
	case given:
		t.disown(in+field, host, "belongs to namespace "+strings.Join(namespaces, ", ")+
			" by l7.kubernetes.host_owners: take another host, or add "+t.origin.Namespace+" there")
		return false
	case host == "":
		return true
	}
	owner, taken := t.owners.get(host)
	if !taken {
		t.owners.set(host, t.origin)
		return true
	}
	if owner.Namespace != t.origin.Namespace {
		t.disown(in+field, host, "belongs to namespace "+owner.Namespace+", whose "+owner.String()+
			" had it first: take another host, or give it to both in l7.kubernetes.host_owners")
		return false
	}
	return true
}

func (t *translation) disown(field, host, why string) {
	c := claim{t.origin, host}
	if t.disowned[c] {
		return
	}
	remember(&t.disowned, c, true)
	if host == "" {
		host = "every host"
	}
	t.problem(field, "%s %s; what is asked for it here is left out", host, why)
}
