package kube

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// emptyFor is how long the API server has to say that there is nothing left of
// what there was before it is believed. It says so for a moment when its own
// storage has just come back, and everything would be gone.
const emptyFor = 5 * time.Second

var errEmpty = errors.New("nothing is left of what there was, asking again")

// A kind is all objects of one kind, from as many stores as it takes queries to
// get them. The reader's mu guards it.
type kind[T metav1.Object] struct {
	stores []*store[T]
	gen    uint64 // counts changes
	list   []T
	at     map[cache.ObjectName]int // in list
	lent   bool                     // list is somebody's, and copied before it is changed
}

// all returns the objects, which then are the caller's to keep. Those that have
// not changed keep their places as long as none is gone.
func (k *kind[T]) all() []T {
	k.lent = true
	return slices.Clip(k.list)
}

func (k *kind[T]) own() {
	if k.lent {
		k.list, k.lent = slices.Clone(k.list), false
	}
}

func (k *kind[T]) put(name cache.ObjectName, o T) {
	k.own()
	if i, ok := k.at[name]; ok {
		k.list[i] = o
		return
	}
	if k.at == nil {
		k.at = map[cache.ObjectName]int{}
	}
	k.at[name] = len(k.list)
	k.list = append(k.list, o)
}

// remove takes o away, unless another store has put another of its name there.
func (k *kind[T]) remove(name cache.ObjectName, o T) {
	i, ok := k.at[name]
	if !ok || any(k.list[i]) != any(o) {
		return
	}
	k.own()
	last := len(k.list) - 1
	if i != last {
		k.list[i] = k.list[last]
		k.at[cache.MetaObjectToName(k.list[i])] = i
	}
	clear(k.list[last:])
	k.list = k.list[:last]
	delete(k.at, name)
}

// A store holds what one reflector reads, which calls its methods.
type store[T metav1.Object] struct {
	w       *reader
	reading *reading
	kind    *kind[T]
	keep    func(T) bool
	objects map[cache.ObjectName]T

	namespace string // empty for all
	// emptySince is when the API server first said that all objects are gone.
	emptySince time.Time
}

var _ cache.ReflectorStore = (*store[metav1.Object])(nil)

// Add takes an object as it is now.
func (s *store[T]) Add(object any) error {
	o, ok := object.(T)
	if !ok {
		return fmt.Errorf("%s: got %T", s.reading.what, object)
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	name := cache.MetaObjectToName(o)
	before, had := s.objects[name]
	switch {
	case s.keep(trim(o)):
		s.objects[name] = o
		s.kind.put(name, o)
		if had && sameButStatus(before, o) {
			ring(s.w.stir)
			return nil
		}
	case had:
		delete(s.objects, name)
		s.kind.remove(name, before)
	default:
		return nil
	}
	s.changed()
	return nil
}

// Update is Add: what was there before does not matter.
func (s *store[T]) Update(object any) error { return s.Add(object) }

// Delete forgets an object.
func (s *store[T]) Delete(object any) error {
	o, ok := object.(T)
	if !ok {
		return fmt.Errorf("%s: got %T", s.reading.what, object)
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	name := cache.MetaObjectToName(o)
	if before, had := s.objects[name]; had {
		delete(s.objects, name)
		s.kind.remove(name, before)
		s.changed()
	}
	return nil
}

// Replace takes all objects that there are: the first reading, or one after
// the thread of changes was lost. Its error has the reflector list again.
func (s *store[T]) Replace(list []any, _ string) error {
	objects := make(map[cache.ObjectName]T, len(list))
	for _, object := range list {
		o, ok := object.(T)
		if !ok {
			return fmt.Errorf("%s: got %T", s.reading.what, object)
		}
		if s.keep(trim(o)) {
			objects[cache.MetaObjectToName(o)] = o
		}
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if len(list) == 0 && len(s.objects) > 0 && !s.believeEmpty(time.Now()) {
		return errEmpty
	}
	s.emptySince = time.Time{}
	s.replace(objects)
	s.w.markRead(s.reading)
	return nil
}

// believeEmpty reports whether the API server has said for long enough that all
// objects are gone. mu is held.
func (s *store[T]) believeEmpty(now time.Time) bool {
	if s.emptySince.IsZero() {
		s.emptySince = now
		s.w.log.Warn("kubernetes API lists nothing any more, what there was is served until it has said so again",
			"objects", s.reading.what, "were", len(s.objects))
	}
	return now.Sub(s.emptySince) >= emptyFor
}

// replace puts objects in the place of those that there were. mu is held.
func (s *store[T]) replace(objects map[cache.ObjectName]T) {
	before := s.objects
	s.objects = objects
	for name, o := range before {
		if _, stays := objects[name]; !stays {
			s.kind.remove(name, o)
		}
	}
	for name, o := range objects {
		s.kind.put(name, o)
	}
	if !maps.EqualFunc(before, objects, sameVersion) {
		s.changed()
	}
}

// restore takes from an earlier run what the reflector would read. mu is held.
func (s *store[T]) restore(all []T) {
	objects := map[cache.ObjectName]T{}
	for _, o := range all {
		if s.takes(o) {
			objects[cache.MetaObjectToName(o)] = o
		}
	}
	s.replace(objects)
}

// takes reports whether the reflector would read o.
func (s *store[T]) takes(o T) bool {
	return (s.namespace == "" || s.namespace == o.GetNamespace()) && s.keep(o)
}

// Resync has nothing to do.
func (s *store[T]) Resync() error { return nil }

// changed tells the consumer. The reader's mu is held.
func (s *store[T]) changed() {
	s.kind.gen++
	s.w.modified = time.Now()
	ring(s.w.changed)
	ring(s.w.stir)
}

func sameVersion[T metav1.Object](a, b T) bool {
	return a.GetUID() == b.GetUID() && a.GetResourceVersion() == b.GetResourceVersion()
}

// sameButStatus reports whether two versions of an Ingress differ in nothing
// that routes depend on: every edge would build its routes anew each time that
// one of them publishes an address. The API server counts what happens to the
// spec.
func sameButStatus[T metav1.Object](a, b T) bool {
	_, ok := any(a).(*netv1.Ingress)
	return ok && a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() && a.GetGeneration() != 0 &&
		maps.Equal(a.GetAnnotations(), b.GetAnnotations()) && maps.Equal(a.GetLabels(), b.GetLabels())
}

// trim takes away what nobody here reads and can be the larger part.
func trim[T metav1.Object](o T) T {
	o.SetManagedFields(nil)
	delete(o.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
	return o
}

func keepAll[T metav1.Object](T) bool { return true }

// keepUseful keeps the Secrets of a type that an Ingress may name, and nothing
// of them that it has no use for.
func keepUseful(of corev1.SecretType) func(*corev1.Secret) bool {
	return func(s *corev1.Secret) bool {
		trimData(s.Data)
		return s.Type == of && (of == corev1.SecretTypeTLS || len(s.Data) > 0)
	}
}
