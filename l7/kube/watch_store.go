package kube

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// A kind is all objects of one kind, from as many stores as it takes queries to
// get them. The reader's mu guards it.
type kind[T metav1.Object] struct {
	stores []*store[T]
	gen    uint64 // counts changes
}

// since returns all objects, or the slice that was made of them at generation
// gen when nothing has changed since.
func (k *kind[T]) since(gen uint64, then []T) []T {
	if gen == k.gen {
		return then
	}
	var all []T
	for _, s := range k.stores {
		for _, o := range s.objects {
			all = append(all, o)
		}
	}
	return all
}

// A store holds what one reflector reads, which calls its methods.
type store[T metav1.Object] struct {
	w       *reader
	reading *reading
	kind    *kind[T]
	keep    func(T) bool
	objects map[cache.ObjectName]T
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
	k := cache.MetaObjectToName(o)
	_, had := s.objects[k]
	if s.keep(trim(o)) {
		s.objects[k] = o
		s.changed()
	} else if had {
		delete(s.objects, k)
		s.changed()
	}
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
	k := cache.MetaObjectToName(o)
	if _, had := s.objects[k]; had {
		delete(s.objects, k)
		s.changed()
	}
	return nil
}

// Replace takes all objects that there are: the first reading, or one after
// the thread of changes was lost.
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
	before := s.objects
	s.objects = objects
	if !maps.EqualFunc(before, objects, sameVersion) {
		s.changed()
	}
	s.w.markSynced(s.reading)
	return nil
}

// Resync has nothing to do.
func (s *store[T]) Resync() error { return nil }

// changed tells the consumer. The reader's mu is held.
func (s *store[T]) changed() {
	s.kind.gen++
	s.w.modified = time.Now()
	ring(s.w.changed)
}

func sameVersion[T metav1.Object](a, b T) bool {
	return a.GetUID() == b.GetUID() && a.GetResourceVersion() == b.GetResourceVersion()
}

// trim takes away what nobody here reads and can be the larger part.
func trim[T metav1.Object](o T) T {
	o.SetManagedFields(nil)
	delete(o.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
	return o
}

func keepAll[T metav1.Object](T) bool { return true }

// keepPair keeps the Secrets that are, or were meant to be, a certificate with
// its key, and nothing else of them.
func keepPair(s *corev1.Secret) bool {
	maps.DeleteFunc(s.Data, func(key string, _ []byte) bool {
		return key != corev1.TLSCertKey && key != corev1.TLSPrivateKeyKey && key != "ca.crt"
	})
	return s.Type == corev1.SecretTypeTLS || s.Data[corev1.TLSCertKey] != nil || s.Data[corev1.TLSPrivateKeyKey] != nil
}
