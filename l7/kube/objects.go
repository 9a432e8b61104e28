// Package kube turns Kubernetes objects into routes, endpoints and
// certificates. A Source holds the objects, read from a folder of manifests or
// watched at an API server; Routes and Endpoints are pure and take them as
// values.
package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
)

// Objects is everything a Source knows at one moment. It and all it points to
// are immutable; the slices are in no particular order and hold no object
// twice.
type Objects struct {
	Ingresses []*netv1.Ingress
	Classes   []*netv1.IngressClass
	Services  []*corev1.Service
	Slices    []*discoveryv1.EndpointSlice
	// Secrets holds at least every Secret that an Ingress names in its tls.
	Secrets []*corev1.Secret
	// Gen tells which of the slices differ between two Objects of a Source.
	Gen Generations
}

// Generations counts the changes of each kind of object.
type Generations struct {
	Ingresses, Classes, Services, Slices, Secrets uint64
}

// A Source keeps Objects up to date. There are two: a Folder and a Watcher.
type Source interface {
	// Run reads until ctx ends, and calls ready once the first reading is
	// complete. It returns when all it started has returned.
	Run(ctx context.Context, ready func()) error
	// Objects returns the latest reading, nil before the first is complete.
	// Losing touch with what is read from never takes objects away.
	Objects() *Objects
	// Changed rings after Objects has changed; it has room for one ring and
	// serves one consumer.
	Changed() <-chan struct{}
	Status() SourceStatus
}

// SourceStatus describes a Source.
type SourceStatus struct {
	// From is where the objects are read: a folder, or an API server's URL.
	From string `json:"from"`
	// Synced says that the first reading is complete.
	Synced bool `json:"synced"`
	// Changed is when Objects last changed.
	Changed time.Time `json:"changed"`
	// Err is why the source cannot be read now; empty when it can. What was
	// read before, if anything, is still served.
	Err string `json:"error,omitempty"`
	// ErrSince is when Err began.
	ErrSince time.Time `json:"error_since,omitzero"`
	// Restored is set while the API server has not answered since the start and
	// what it said in an earlier run is served: when it last confirmed that.
	Restored time.Time `json:"restored,omitzero"`
	// Unsaved is why it cannot be kept for a start without the API server; empty
	// where it can.
	Unsaved string `json:"unsaved,omitempty"`
	// Counts is how many objects of each kind are known.
	Counts Counts `json:"counts"`
	// Problems are objects that the source could not read.
	Problems []Problem `json:"problems,omitempty"`
}

// Counts is the number of objects of each kind.
type Counts struct {
	Ingresses int `json:"ingresses"`
	Classes   int `json:"ingress_classes"`
	Services  int `json:"services"`
	Slices    int `json:"endpoint_slices"`
	Secrets   int `json:"secrets"`
}

// Count returns how many objects of each kind o holds. o may be nil.
func (o *Objects) Count() Counts {
	if o == nil {
		return Counts{}
	}
	return Counts{
		Ingresses: len(o.Ingresses),
		Classes:   len(o.Classes),
		Services:  len(o.Services),
		Slices:    len(o.Slices),
		Secrets:   len(o.Secrets),
	}
}

// A Problem is a fault in one object. The rest of that object, and every
// other object, is served as if it were not there.
type Problem struct {
	// Object is "Kind namespace/name", or the place in a manifest of one that
	// could not be read.
	Object string `json:"object"`
	// Field is the path of the field at fault, as in spec.rules[0].host.
	Field string `json:"field"`
	// Text says what is wrong and what cures it.
	Text string `json:"text"`
}

// String returns object: field: text.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Object + ": " + p.Text
	}
	return p.Object + ": " + p.Field + ": " + p.Text
}
