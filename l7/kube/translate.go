package kube

import (
	"fmt"

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
	// ClientAuth says that it asks clients for certificates.
	ClientAuth bool
}

// A Result is what Routes makes of Objects.
type Result struct {
	// Specs and TLS come from the oldest Ingress first; those of Ingresses that
	// have a host in common stand together.
	Specs []route.Spec
	TLS   []TLS
	// CertRequests come in the same order.
	CertRequests []CertRequest
	Problems     []Problem
	// Policies are those of backends that differ from Options.Policy.
	Policies map[route.Backend]backend.Policy
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

// Routes reads the rules and certificates of the Ingresses that are ours.
func Routes(o *Objects, opt Options) Result {
	x := NewEndpointIndex()
	x.Update(o)
	t := NewTranslator(opt, x)
	t.Update(o)
	return t.Result()
}

// A translation reads Ingresses: those that have a host in common, which is all
// that one may say about another, and in the end the certificates of all.
type translation struct {
	Result
	opt     *Options
	of      *Translator
	dialect dialect
	// ingresses are those that are read, the oldest one first.
	ingresses []*netv1.Ingress
	reads     reads

	owners   few[string, route.Origin] // of hosts
	disowned map[claim]bool            // those told of

	// What follows is of the Ingress that is being read.
	origin  route.Origin
	refused bool
}

// reads are the answers of a Translator that a Result was made of. Where one of
// them is another, it is to be made anew.
type reads struct {
	services few[serviceName, *corev1.Service]
	seldomReads
}

// seldomReads are those that few Ingresses ask for.
type seldomReads struct {
	secrets   map[string]*corev1.Secret
	counts    map[route.Backend]int
	certified few[nginxHost, bool]
	pages     map[pageName]route.Backend
}

// A pageName is what an Ingress of a namespace calls a rule.
type pageName struct{ namespace, name string }

// remember notes an answer, and returns it.
func remember[K comparable, V any](m *map[K]V, k K, v V) V {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
	return v
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

// service returns a Service, nil where it does not exist.
func (t *translation) service(b route.Backend) *corev1.Service {
	name := serviceName{b.Namespace, b.Service}
	return t.reads.services.set(name, t.of.index.object(name))
}

// secret returns a Secret by "namespace/name", nil where it does not exist.
func (t *translation) secret(name string) *corev1.Secret {
	return remember(&t.reads.secrets, name, t.of.secrets[name])
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
