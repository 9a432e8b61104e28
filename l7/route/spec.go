// Package route decides which backend answers a host and a path. It is pure:
// specs go in, an immutable table comes out, and a lookup allocates nothing.
package route

import (
	"net/netip"
	"time"
)

// A Match says how a Spec's path is compared with a request's
// (Kubernetes networking/v1, IngressRule pathType).
type Match uint8

// The zero Match is Prefix, the rule that fits most.
const (
	// Prefix compares path elements: /foo matches /foo, /foo/ and /foo/bar,
	// never /foobar.
	Prefix Match = iota
	// Exact compares the whole canonical path, byte for byte.
	Exact
	// Default matches every path of its host, after every other rule that
	// matches the request, whatever its host, has been preferred: an Ingress's
	// defaultBackend. Its Path is "/".
	Default
	// Begins compares characters: /foo matches /foo, /foobar and /foo/bar, as
	// Traefik 1.7's PathPrefix does.
	Begins
	// Regexp has a regular expression match from the path's begin on, in any
	// case of letters, as ingress-nginx's use-regex does.
	Regexp
)

// String returns the pathType's name in Kubernetes, or one of ours.
func (m Match) String() string {
	switch m {
	case Exact:
		return "Exact"
	case Default:
		return "Default"
	case Begins:
		return "Begins"
	case Regexp:
		return "Regexp"
	}
	return "Prefix"
}

// A Spec is one rule: requests for Host and Path go to Backend.
type Spec struct {
	// Host is canonical (see CanonicalHost); "" means any host, and a first
	// label of "*" stands for exactly one label.
	Host string `json:"host"`
	// Path is canonical (see CanonicalPath) and starts with "/"; that of Regexp
	// is an expression.
	Path  string `json:"path"`
	Match Match  `json:"match"`
	// Priority is the rule's rank among those of its host, the highest one
	// first; 0 leaves it to the path's length: see Table.
	Priority int `json:"priority,omitempty"`
	// Backend is what answers. The zero Backend answers 503: the rule stands,
	// but what it names cannot be served.
	Backend Backend `json:"backend"`
	// Choices are other backends that some of the requests go to, the first
	// that takes one.
	Choices []Choice `json:"choices,omitempty"`
	// Entrypoints are the names of those that the rule is for; none means all.
	Entrypoints []string `json:"entrypoints,omitempty"`
	// Steps are what is done to its requests, in this order.
	Steps Steps `json:"steps,omitempty"`
	// Origin is the object the rule was read from.
	Origin Origin `json:"origin"`
}

// A Step is something that is done to requests beside forwarding them;
// l7/middleware knows which ones there are.
type Step interface {
	// Kind is its name, as in the configuration.
	Kind() string
}

// An Asking is a Step that asks backends of its own: one who decides, or one
// who has a page for an error.
type Asking interface {
	Step
	Backends() []Backend
}

// StaticNamespace stands where a backend of Kubernetes has its namespace, whose
// names have no dots.
const StaticNamespace = "l7.route"

// Static is the backend of the [[l7.route]] of a name.
func Static(name string) Backend {
	return Backend{Namespace: StaticNamespace, Service: name, Port: "endpoint"}
}

// A Choice takes a part of a route's requests to another backend.
type Choice struct {
	Backend Backend `json:"backend"`
	// Header or Cookie names what decides: those requests are taken in which
	// it has the Value, or matches the Pattern; none of both are taken where
	// both are empty.
	Header  string `json:"header,omitempty"`
	Cookie  string `json:"cookie,omitempty"`
	Value   string `json:"value,omitempty"`
	Pattern string `json:"pattern,omitempty"` // a regular expression for the whole value
	// Never has such requests go to the route's own Backend, whatever the
	// Choices behind this one say. Backend is empty then.
	Never bool `json:"never,omitempty"`
	// Share is the part of the route's requests that is taken, 0 to 1, where
	// neither Header nor Cookie is set.
	Share float64 `json:"share,omitempty"`
}

// A Backend names one port of one Service, and is the key of an endpoint pool.
type Backend struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// Port is the Service port as the rule wrote it: a number in decimal, or
	// a name.
	Port string `json:"port"`
	// As tells apart ways to use the same port, each of which has a policy and
	// connections of its own: it is a name of the policy, "" of the common one.
	As string `json:"as,omitempty"`
}

// String returns namespace/service:port, and the way to use it where it is not
// the common one.
func (b Backend) String() string {
	s := b.Namespace + "/" + b.Service + ":" + b.Port
	if b.As != "" {
		s += " (" + b.As + ")"
	}
	return s
}

// An Origin is the object that a Spec was read from. When two objects claim
// the same host, path and match, the older wins; then the lower namespace and
// name, so that every edge decides alike.
type Origin struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
}

// String returns Kind namespace/name.
func (o Origin) String() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// An Endpoint is one address that serves a Backend: a Pod's IP and port.
type Endpoint struct {
	Addr netip.AddrPort `json:"addr"`
	// Weight is its share of the requests beside the others'; 0 is 1.
	Weight int `json:"weight,omitempty"`
	// Protocol is how it says it is spoken to.
	Protocol Protocol `json:"protocol,omitempty"`
	// ID names what listens there beyond its address: a Pod's UID. It may be
	// empty.
	ID string `json:"id,omitempty"`
	// Leaving says that it still serves, but nobody new is to be sent there.
	Leaving bool `json:"leaving,omitempty"`
}

// Endpoints are those of one backend.
type Endpoints struct {
	Backend   Backend
	Endpoints []Endpoint
}
