package kube

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// Options says how objects are read.
type Options struct {
	// IngressClass is the class served where no IngressClass object of that
	// name can be read, and the value of the annotation ClassAnnotation that
	// is served.
	IngressClass string
	// Dialect is how annotations and paths of type ImplementationSpecific are
	// read.
	Dialect Dialect
	// Middlewares are those that MiddlewaresAnnotation can name.
	Middlewares map[string]middleware.Step
	// Entrypoints are all there are.
	Entrypoints []Entrypoint
	// DefaultEntrypoints are those that serve an Ingress that names none; none
	// means all.
	DefaultEntrypoints []string
	// HostOwners are the namespaces that hosts belong to.
	HostOwners HostOwners
	// Policy is that of a backend of which no annotation says more.
	Policy backend.Policy
}

// An Entrypoint is one listener, as far as an Ingress can name it.
type Entrypoint struct {
	Name string
	// Scheme is "http" or "https".
	Scheme string
	Port   uint16
}

// A Result is what Routes makes of Objects.
type Result struct {
	// Specs and TLS come from the oldest Ingress first.
	Specs []route.Spec
	TLS   []TLS
	// CertRequests come in the same order.
	CertRequests []CertRequest
	Problems     []Problem
	// Policies are those of backends that differ from Options.Policy.
	Policies map[route.Backend]backend.Policy
	// Depends is what else the Result was made of than Ingresses, Classes and
	// Secrets.
	Depends Depends
}

// Depends says when a Result is to be made anew, beside a change of Ingresses,
// Classes and Secrets.
type Depends struct {
	// Counts are the backends of which it depends on how many endpoints they
	// have, and how many those were: see CountEndpoints.
	Counts map[route.Backend]int
	// services are those that were read, nil where they did not exist.
	services map[serviceName]*corev1.Service
}

// ServicesChanged reports whether a Service that was read is another one in o, as
// far as a Result can depend on it.
func (d Depends) ServicesChanged(o *Objects) bool {
	left := len(d.services)
	for _, s := range o.Services {
		was, read := d.services[serviceName{s.Namespace, s.Name}]
		if !read {
			continue
		}
		left--
		if was != s && (was == nil || !maps.Equal(was.Annotations, s.Annotations) ||
			!reflect.DeepEqual(was.Spec.Ports, s.Spec.Ports) || was.Spec.Type != s.Spec.Type || was.Spec.ExternalName != s.Spec.ExternalName) {
			return true
		}
	}
	for _, was := range d.services {
		if was == nil {
			left-- // it still does not exist
		}
	}
	return left != 0
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
// depends on Ingresses, Classes and Secrets, and on what Depends says: endpoints
// come and go without a new table.
func Routes(o *Objects, opt Options) Result {
	t := translation{
		opt:     opt,
		objects: o,
		dialect: newDialect(opt.Dialect),
		secrets: make(map[string]*corev1.Secret, len(o.Secrets)),
		served:  make(map[string]TLS),

		owners:   make(map[string]route.Origin),
		disowned: make(map[claim]bool),
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
	t.ingresses = ours
	for _, ing := range ours {
		t.ingress(ing)
	}
	t.dialect.finish(&t)
	for _, ing := range ours { // now it is known whose the hosts are
		t.certificates(ing)
	}
	return t.Result
}

// A translation collects the Result.
type translation struct {
	Result
	opt     Options
	objects *Objects
	dialect dialect
	// ingresses are those that are ours, the oldest one first.
	ingresses []*netv1.Ingress

	secrets  map[string]*corev1.Secret
	served   map[string]TLS          // by host
	owners   map[string]route.Origin // of hosts
	disowned map[claim]bool          // those told of
	services map[serviceName]*corev1.Service

	// What follows is of the Ingress that is being read.
	origin  route.Origin
	refused bool
}

// problem tells of a field of the Ingress that is being read.
func (t *translation) problem(field, format string, args ...any) {
	t.tell(t.origin.String(), field, format, args...)
}

// tell tells of a field of any object.
func (t *translation) tell(object, field, format string, args ...any) {
	t.Problems = append(t.Problems, Problem{Object: object, Field: field, Text: fmt.Sprintf(format, args...)})
}

// refuse has the rules of the Ingress that is being read answer 503: what
// protects them cannot be understood. The caller tells why.
func (t *translation) refuse(field, format string, args ...any) {
	t.refused = true
	t.problem(field, format+"; until then its rules answer 503", args...)
}

func (t *translation) add(s route.Spec) { t.Specs = append(t.Specs, s) }

// service returns a Service, nil where it does not exist. The Result then
// depends on it.
func (t *translation) service(b route.Backend) *corev1.Service {
	if t.services == nil {
		t.Depends.services = make(map[serviceName]*corev1.Service)
		t.services = make(map[serviceName]*corev1.Service, len(t.objects.Services))
		for _, s := range t.objects.Services {
			t.services[serviceName{s.Namespace, s.Name}] = s
		}
	}
	name := serviceName{b.Namespace, b.Service}
	s := t.services[name]
	t.Depends.services[name] = s
	return s
}

// policy has b be used by p, and returns what it then is called: as tells it
// from other ways to use the same port, and is for people to read. One that is
// Options.Policy has no name of its own.
func (t *translation) policy(b route.Backend, as string, p backend.Policy) route.Backend {
	if b == (route.Backend{}) || p == t.opt.Policy {
		return b
	}
	b.As = as
	if t.Policies == nil {
		t.Policies = make(map[route.Backend]backend.Policy)
	}
	t.Policies[b] = p
	return b
}
