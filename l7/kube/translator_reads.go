package kube

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/route"
)

// setSecrets makes all those that there are, and returns the names of those that
// have changed.
func (r *revision) setSecrets(all []*corev1.Secret) map[string]bool {
	changed := make(map[string]bool)
	gone, come := difference(r.last.Secrets, all)
	for _, s := range gone {
		name := s.Namespace + "/" + s.Name
		delete(r.secrets, name)
		changed[name] = true
	}
	for _, s := range come {
		name := s.Namespace + "/" + s.Name
		r.secrets[name] = s
		changed[name] = true
	}
	return changed
}

// outdated finds the parts that were made of answers that are others now. Most
// changes are of a kind that no part has to be asked for.
func (r *revision) outdated(toggled map[nginxHost]bool, secrets map[string]bool, ingresses bool) {
	if !slices.ContainsFunc(r.parts, func(p *part) bool { return !p.stale }) { // as at a start
		r.index.settle()
		return
	}
	touched := r.index.changes()
	if len(touched)+len(toggled)+len(secrets) == 0 && !ingresses {
		return
	}
	objects := false
	for _, itself := range touched {
		objects = objects || itself
	}
	for _, p := range r.parts {
		if p.stale {
			continue
		}
		if objects && p.otherServices(touched, r.index) ||
			len(touched) > 0 && p.otherCounts(touched, r.index) ||
			len(secrets) > 0 && p.otherSecrets(secrets) ||
			len(toggled) > 0 && p.otherCertified(r.Translator.certified) ||
			ingresses && p.otherPages(r.page) {
			r.outdate(p)
		}
	}
}

func (p *part) otherServices(touched map[serviceName]bool, x *EndpointIndex) bool {
	for name, was := range p.services.all() {
		if touched[name] && !sameService(was, x.object(name)) {
			return true
		}
	}
	return false
}

// sameService reports whether two versions of a Service, nil where there is none,
// are the same as far as a translation can depend on it.
func sameService(a, b *corev1.Service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || maps.Equal(a.Annotations, b.Annotations) && reflect.DeepEqual(a.Spec.Ports, b.Spec.Ports) &&
		a.Spec.Type == b.Spec.Type && a.Spec.ExternalName == b.Spec.ExternalName
}

func (r *seldomReads) otherCounts(touched map[serviceName]bool, x *EndpointIndex) bool {
	for b, was := range r.counts {
		if _, ok := touched[serviceName{b.Namespace, b.Service}]; ok && x.count(b) != was {
			return true
		}
	}
	return false
}

func (r *seldomReads) otherSecrets(changed map[string]bool) bool {
	for name := range r.secrets {
		if changed[name] {
			return true
		}
	}
	return false
}

func (r *seldomReads) otherCertified(now map[nginxHost]int) bool {
	for h, was := range r.certified.all() {
		if was != (now[h] > 0) {
			return true
		}
	}
	return false
}

func (r *seldomReads) otherPages(page func(pageName) route.Backend) bool {
	for name, was := range r.pages {
		if page(name) != was {
			return true
		}
	}
	return false
}

// page returns the backend of the oldest rule of the namespace that is called
// HOST/PATH, as it is written; the zero one where there is none.
func (t *Translator) page(of pageName) route.Backend {
	name, _, _ := strings.Cut(of.name, "/")
	host, err := canonicalHost(name)
	p := t.byHost[host]
	if err != nil || p == nil {
		return route.Backend{}
	}
	for _, e := range p.entries {
		if e.Namespace != of.namespace {
			continue
		}
		for _, r := range e.Spec.Rules {
			if r.HTTP == nil {
				continue
			}
			for _, path := range r.HTTP.Paths {
				if b, ok := serviceBackend(e.Namespace, path.Backend); ok && r.Host+path.Path == of.name {
					return b
				}
			}
		}
	}
	return route.Backend{}
}
