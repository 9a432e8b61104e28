package route

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
)

// An index finds sites by their names. It is a hash table of its own because a
// lookup among very many waits for memory and nothing else: this one touches one
// line beside the site, where a map touches three, and tells the number of the route
// before the site has come.
type index struct {
	seed maphash.Seed
	// slots are a power of two and at most three quarters of them taken, each as
	// near behind its hash's place as could be.
	slots []slot
	size  int
}

// A slot is free where its site is nil.
type slot struct {
	hash uint32
	only int32 // as the site's
	site *site
}

// clone returns a copy, for n more.
func (x *index) clone(n int) index {
	out := index{seed: x.seed, slots: slices.Clone(x.slots), size: x.size}
	if x.slots == nil {
		out.seed = maphash.MakeSeed()
	}
	out.reserve(x.size + n)
	return out
}

// reserve makes room for n.
func (x *index) reserve(n int) {
	if 4*n <= 3*len(x.slots) {
		return
	}
	room := max(8, len(x.slots))
	for 4*n > 3*room {
		room *= 2
	}
	before := x.slots
	x.slots = make([]slot, room)
	for _, s := range before {
		if s.site != nil {
			x.slots[x.free(s.hash)] = s
		}
	}
}

// free returns the first free slot for a hash.
func (x *index) free(hash uint32) int {
	mask := len(x.slots) - 1
	i := int(hash) & mask
	for x.slots[i].site != nil {
		i = (i + 1) & mask
	}
	return i
}

// find returns the slot of a name, or a free one.
func (x *index) find(name []byte) slot {
	if x.size == 0 {
		return slot{}
	}
	hash := uint32(maphash.Bytes(x.seed, name))
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.site == nil || s.hash == hash && s.site.is(name) {
			return *s
		}
	}
}

// put makes s, nil for none, what is found by a name, and returns what was.
func (x *index) put(name string, s *site) (old *site) {
	x.reserve(x.size + 1)
	hash := uint32(maphash.String(x.seed, name))
	mask := uint32(len(x.slots) - 1)
	i := hash & mask
	for ; x.slots[i].site != nil; i = (i + 1) & mask {
		if x.slots[i].hash == hash && x.slots[i].site.is([]byte(name)) {
			old = x.slots[i].site
			break
		}
	}
	switch {
	case s != nil:
		x.slots[i] = slot{hash, s.only(), s}
		if old == nil {
			x.size++
		}
	case old != nil:
		x.clear(int(i))
	}
	return old
}

// clear frees a slot, and brings those behind it nearer to their places.
func (x *index) clear(i int) {
	x.size--
	mask := len(x.slots) - 1
	for next := (i + 1) & mask; x.slots[next].site != nil; next = (next + 1) & mask {
		home := int(x.slots[next].hash) & mask
		if (next-home)&mask >= (next-i)&mask {
			x.slots[i] = x.slots[next]
			i = next
		}
	}
	x.slots[i] = slot{}
}

// all yields the sites, in no order.
func (x *index) all() iter.Seq[*site] {
	return func(yield func(*site) bool) {
		for _, s := range x.slots {
			if s.site != nil && !yield(s.site) {
				return
			}
		}
	}
}

// compare calls add for each name of which x and before have not the same site,
// with both; nil is none.
func (x *index) compare(before *index, add func(was, is *site)) {
	for i, s := range x.slots {
		if s.site != nil && !before.has(i, s.site) {
			add(before.of(s.site), s.site)
		}
	}
	for i, s := range before.slots {
		if s.site != nil && !x.has(i, s.site) && x.of(s.site) == nil {
			add(s.site, nil)
		}
	}
}

// has reports whether s is in slot i, as it is in a copy where nothing near it has
// changed.
func (x *index) has(i int, s *site) bool { return i < len(x.slots) && x.slots[i].site == s }

// of returns the site that has the name of s, or nil.
func (x *index) of(s *site) *site { return x.find([]byte(strings.TrimPrefix(s.host, "*."))).site }
