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
)

// String returns the pathType's name in Kubernetes, or "Default".
func (m Match) String() string {
	switch m {
	case Exact:
		return "Exact"
	case Default:
		return "Default"
	}
	return "Prefix"
}

// MarshalText writes the pathType's name in Kubernetes.
func (m Match) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// A Spec is one rule: requests for Host and Path go to Backend.
type Spec struct {
	// Host is canonical (see CanonicalHost); "" means any host, and a first
	// label of "*" stands for exactly one label.
	Host string `json:"host"`
	// Path is canonical (see CanonicalPath) and starts with "/".
	Path  string `json:"path"`
	Match Match  `json:"match"`
	// Backend is what answers. The zero Backend answers 503: the rule stands,
	// but what it names cannot be served.
	Backend Backend `json:"backend"`
	// Origin is the object the rule was read from.
	Origin Origin `json:"origin"`
}

// A Backend names one port of one Service, and is the key of an endpoint pool.
type Backend struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// Port is the Service port as the rule wrote it: a number in decimal, or
	// a name.
	Port string `json:"port"`
}

// String returns namespace/service:port.
func (b Backend) String() string { return b.Namespace + "/" + b.Service + ":" + b.Port }

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
