package kube

import (
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/route"
)

// An EndpointIndex does what Endpoints does, one change after another, at the
// cost of what has changed: a Pod that leaves is to be out of use at once, among
// however many. Its methods may be called from any goroutine.
type EndpointIndex struct {
	mu       sync.Mutex
	services map[serviceName]*service
	// read are the objects of the last Update.
	read struct {
		services []*corev1.Service
		slices   []*discoveryv1.EndpointSlice
	}
	names  Names
	zone   string
	stale  []*service        // have to be looked at again
	faulty map[*service]bool // have problems
	// touched are the Services of which something has changed since that was
	// asked for last.
	touched []*service
	found   candidates // those that were looked at last, for their room
}

// NewEndpointIndex returns an index of no backends and no objects.
func NewEndpointIndex() *EndpointIndex {
	return &EndpointIndex{
		services: make(map[serviceName]*service),
		faulty:   make(map[*service]bool),
	}
}

// Want adds backends to those whose endpoints are asked for, and takes others
// away; the zero Backend has none. The next Update returns the endpoints of those
// that have come.
func (x *EndpointIndex) Want(come, gone []route.Backend) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range gone {
		s := x.services[serviceName{b.Namespace, b.Service}]
		if s == nil {
			continue
		}
		if i, known := s.find(b); known {
			s.uses = slices.Delete(s.uses, i, i+1)
			x.outdate(s) // its problems may be of what is gone
		}
	}
	for _, b := range come {
		if b != (route.Backend{}) {
			x.want(b)
		}
	}
}

// Use counts the backends whose endpoints routes need as they come, and as they
// go, which is after they have come: where they lead, and whom their middlewares
// ask or send copies. Those of the configuration it knows itself. What has come
// into use is wanted by that; returned is what is out of use, and wanted until
// Want is told otherwise.
func (x *EndpointIndex) Use(come, gone []*route.Route) (idle []route.Backend) {
	x.mu.Lock()
	defer x.mu.Unlock()
	count := func(routes []*route.Route, n int) {
		for _, r := range routes {
			for b := range r.Backends() {
				if b == (route.Backend{}) || b.Namespace == route.StaticNamespace {
					continue
				}
				u := x.want(b)
				if u.uses += n; u.uses == 0 {
					idle = append(idle, b)
				}
			}
		}
	}
	count(come, 1)
	count(gone, -1)
	return idle
}

// want returns what is known of the use of b, which the next Update looks at where
// it is new. It is good until the next call.
func (x *EndpointIndex) want(b route.Backend) *use {
	s := x.service(serviceName{b.Namespace, b.Service})
	i, known := s.find(b)
	if !known {
		s.uses = slices.Insert(s.uses, i, use{backend: b})
		x.outdate(s)
	}
	return &s.uses[i]
}

// outdate has the next Update look at s again.
func (x *EndpointIndex) outdate(s *service) {
	if !s.stale {
		s.stale = true
		x.stale = append(x.stale, s)
	}
}

// object returns a Service, nil where it does not exist.
func (x *EndpointIndex) object(name serviceName) *corev1.Service {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.services[name]; s != nil {
		return s.object
	}
	return nil
}

// count is how many endpoints b has that get new clients, in all zones, whether it
// is asked for or not: the same at every edge. Those of a name that DNS has to be
// asked for are none.
func (x *EndpointIndex) count(b route.Backend) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.services[serviceName{b.Namespace, b.Service}]
	if s == nil {
		return 0
	}
	aside := service{name: s.name, object: s.object, slices: s.slices} // it tells of no problems
	n := 0
	for _, e := range aside.endpoints(b, Names{}, &candidates{}) {
		if !e.Leaving {
			n++
		}
	}
	return n
}

// changes returns the Services of which something has changed since it, or settle,
// was called last: true where it was the Service itself.
func (x *EndpointIndex) changes() map[serviceName]bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make(map[serviceName]bool, len(x.touched))
	for _, s := range x.touched {
		out[s.name] = out[s.name] || s.replaced
	}
	x.untouch()
	return out
}

// settle is changes for who need not know.
func (x *EndpointIndex) settle() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.untouch()
}

func (x *EndpointIndex) untouch() {
	for _, s := range x.touched {
		s.touched, s.replaced = false, false
	}
	x.touched = nil
}

// service returns the entry of that name and makes it where it is missing.
func (x *EndpointIndex) service(name serviceName) *service {
	s := x.services[name]
	if s == nil {
		s = &service{name: name}
		x.services[name] = s
	}
	return s
}

// Another returns an index without services that goes by the same zone and names.
func (x *EndpointIndex) Another() *EndpointIndex {
	out := NewEndpointIndex()
	if x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		out.zone, out.names = x.zone, x.names
	}
	return out
}

// SetZone has the next Update prefer the endpoints that are for a zone, "" for
// none.
func (x *EndpointIndex) SetZone(zone string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.zone == zone {
		return
	}
	x.zone = zone
	for _, s := range x.services {
		x.outdate(s)
	}
}

// Update takes Services and Slices from o and returns the endpoints of the
// backends of which something has changed, none for those that have none left.
func (x *EndpointIndex) Update(o *Objects) []route.Endpoints {
	x.mu.Lock()
	defer x.mu.Unlock()
	gone, come := difference(x.read.services, o.Services)
	if len(x.services) == 0 { // they are many at a start
		x.services = make(map[serviceName]*service, len(come))
	}
	x.stale, x.touched = slices.Grow(x.stale, len(come)), slices.Grow(x.touched, len(come))
	for _, s := range gone {
		x.setObject(serviceName{s.Namespace, s.Name}, nil)
	}
	for _, s := range come {
		x.setObject(serviceName{s.Namespace, s.Name}, s)
	}
	x.read.services = o.Services

	goneSlices, comeSlices := difference(x.read.slices, o.Slices)
	for _, s := range goneSlices {
		x.removeSlice(s)
	}
	for _, s := range comeSlices {
		x.addSlice(s)
	}
	x.read.slices = o.Slices
	return x.refresh()
}

// difference returns what is in before or after alone, in no particular order.
// What has not changed is the very same object, and mostly in its place. The
// caller leaves both as they are.
func difference[T any](before, after []*T) (gone, come []*T) {
	if len(before) == 0 || len(after) == 0 {
		return before, after
	}
	left, added := differing(before, after)
	return slices.Collect(maps.Keys(left)), slices.Collect(maps.Keys(added))
}

func differing[T any](before, after []*T) (gone, come map[*T]bool) {
	gone, come = map[*T]bool{}, map[*T]bool{}
	for i := range max(len(before), len(after)) {
		var a, b *T
		if i < len(before) {
			a = before[i]
		}
		if i < len(after) {
			b = after[i]
		}
		if a == b {
			continue
		}
		if a != nil && !remove(come, a) {
			gone[a] = true
		}
		if b != nil && !remove(gone, b) {
			come[b] = true
		}
	}
	return gone, come
}

func remove[K comparable](set map[K]bool, k K) bool {
	if !set[k] {
		return false
	}
	delete(set, k)
	return true
}

func (x *EndpointIndex) setObject(name serviceName, object *corev1.Service) {
	s := x.service(name)
	s.object, s.replaced = object, true
	x.touch(s)
}

func (x *EndpointIndex) addSlice(slice *discoveryv1.EndpointSlice) {
	s := x.service(ownerOf(slice))
	// By name, so that the problems do not depend on the order of arrival.
	i, _ := slices.BinarySearchFunc(s.slices, slice.Name, func(have *discoveryv1.EndpointSlice, name string) int {
		return strings.Compare(have.Name, name)
	})
	s.slices = slices.Insert(s.slices, i, slice)
	x.touch(s)
}

// ownerOf returns the Service that a slice is of.
func ownerOf(slice *discoveryv1.EndpointSlice) serviceName {
	return serviceName{slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]}
}

func (x *EndpointIndex) removeSlice(slice *discoveryv1.EndpointSlice) {
	s := x.services[ownerOf(slice)]
	s.slices = slices.DeleteFunc(s.slices, func(have *discoveryv1.EndpointSlice) bool { return have == slice })
	x.touch(s)
}

// touch notes that something of s has changed.
func (x *EndpointIndex) touch(s *service) {
	x.outdate(s)
	if !s.touched {
		s.touched = true
		x.touched = append(x.touched, s)
	}
}

// refresh looks at the stale Services again and returns what has changed.
func (x *EndpointIndex) refresh() []route.Endpoints {
	n := 0
	for _, s := range x.stale {
		n += len(s.uses)
	}
	changed := make([]route.Endpoints, 0, n)
	for _, s := range x.stale {
		s.stale, s.problems = false, nil
		for i := range s.uses {
			x.found.zone = x.zone
			u := &s.uses[i]
			if now := s.endpoints(u.backend, x.names, &x.found); !slices.Equal(u.endpoints, now) {
				changed = append(changed, route.Endpoints{Backend: u.backend, Endpoints: now})
				u.endpoints = now
			}
		}
		if delete(x.faulty, s); len(s.problems) > 0 {
			x.faulty[s] = true
		}
		if s.object == nil && len(s.slices) == 0 && len(s.uses) == 0 {
			delete(x.services, s.name)
		}
	}
	x.stale = nil
	return changed
}

// All returns the endpoints of every backend.
func (x *EndpointIndex) All() map[route.Backend][]route.Endpoint {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make(map[route.Backend][]route.Endpoint, len(x.services))
	for _, s := range x.services {
		for _, u := range s.uses {
			out[u.backend] = u.endpoints
		}
	}
	return out
}

// Of returns the endpoints of one backend.
func (x *EndpointIndex) Of(b route.Backend) []route.Endpoint {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.services[serviceName{b.Namespace, b.Service}]; s != nil {
		if i, known := s.find(b); known {
			return s.uses[i].endpoints
		}
	}
	return nil
}

// Count returns how many backends there are, and how many endpoints that are
// not leaving.
func (x *EndpointIndex) Count() (backends, endpoints int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.services {
		backends += len(s.uses)
		for i := range s.uses {
			for j := range s.uses[i].endpoints {
				if !s.uses[i].endpoints[j].Leaving {
					endpoints++
				}
			}
		}
	}
	return backends, endpoints
}

// Problems returns those of the Services that backends name, by name.
func (x *EndpointIndex) Problems() []Problem {
	x.mu.Lock()
	defer x.mu.Unlock()
	faulty := slices.SortedFunc(maps.Keys(x.faulty), func(a, b *service) int { return a.name.compare(b.name) })
	var out []Problem
	for _, s := range faulty {
		out = append(out, s.problems...)
	}
	return out
}
