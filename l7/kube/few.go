package kube

import (
	"iter"
	"maps"
	"slices"
)

// A few is a map that mostly has one key or two and that there are ten thousand
// of: a list, and beyond a few keys an index of it. A map takes several hundred
// bytes for its first key.
type few[K comparable, V any] struct {
	list  []pair[K, V]
	index map[K]V // in place of the list, once that is long
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

// fewListed is how many keys are compared one by one: about as many as a map
// costs.
const fewListed = 8

// get returns the value of k, and whether there is one.
func (f *few[K, V]) get(k K) (v V, ok bool) {
	if f.index != nil {
		v, ok = f.index[k]
		return v, ok
	}
	for i := range f.list {
		if p := &f.list[i]; p.key == k {
			return p.value, true
		}
	}
	return v, false
}

// set makes v the value of k, and returns it.
func (f *few[K, V]) set(k K, v V) V {
	if f.index == nil && len(f.list) == fewListed {
		f.index = maps.Collect(f.all())
		f.list = nil
	}
	if f.index != nil {
		f.index[k] = v
		return v
	}
	for i := range f.list {
		if p := &f.list[i]; p.key == k {
			p.value = v
			return v
		}
	}
	f.list = append(f.list, pair[K, V]{k, v})
	return v
}

func (f *few[K, V]) empty() bool { return len(f.list)+len(f.index) == 0 }

// clear takes all away, and keeps the room of a list.
func (f *few[K, V]) clear() {
	clear(f.list)
	f.list, f.index = f.list[:0], nil
}

// all goes over what there is, in no particular order.
func (f *few[K, V]) all() iter.Seq2[K, V] {
	if f.index != nil {
		return maps.All(f.index)
	}
	return func(yield func(K, V) bool) {
		for i := range f.list {
			if p := &f.list[i]; !yield(p.key, p.value) {
				return
			}
		}
	}
}

// spares are values that are used again by whoever comes next.
type spares[T any] struct {
	all []*T
	n   int // those in use
}

// next returns one that is not in use, as who had it last has left it.
func (s *spares[T]) next() *T {
	if s.n == len(s.all) {
		s.all = append(s.all, new(T))
	}
	s.n++
	return s.all[s.n-1]
}

// used returns those that are in use, in order.
func (s *spares[T]) used() []*T { return s.all[:s.n] }

// clear has none be in use.
func (s *spares[T]) clear() { s.n = 0 }

// sortedKeys returns the keys of m in order, mostly none.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
