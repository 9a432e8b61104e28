package http2

import "sync"

// A store holds what has come of a body and was not read yet, b[r:].
type store struct {
	b []byte
	r int
}

// Stores come in sizes, from a form to a stream's window.
const (
	smallStore = 2 << 10
	largeStore = 32 << 10
)

var (
	smallStores = sync.Pool{New: func() any { return new([smallStore]byte) }}
	largeStores = sync.Pool{New: func() any { return new([largeStore]byte) }}
)

func (t *store) len() int { return len(t.b) - t.r }

// write appends p.
func (t *store) write(p []byte) {
	if t.len() == 0 {
		t.b, t.r = t.b[:0], 0
	}
	if need := t.len() + len(p); len(t.b)+len(p) > cap(t.b) {
		if need <= cap(t.b) {
			t.b = t.b[:copy(t.b, t.b[t.r:])]
		} else {
			t.grow(need)
		}
		t.r = 0
	}
	t.b = append(t.b, p...)
}

// grow moves what is held to a buffer with room for n bytes.
func (t *store) grow(n int) {
	var b []byte
	switch {
	case n <= smallStore:
		b = smallStores.Get().(*[smallStore]byte)[:0]
	case n <= largeStore:
		b = largeStores.Get().(*[largeStore]byte)[:0]
	default:
		b = make([]byte, 0, max(n, 2*cap(t.b)))
	}
	b = append(b, t.b[t.r:]...)
	t.free()
	t.b = b
}

func (t *store) read(p []byte) int {
	n := copy(p, t.b[t.r:])
	t.r += n
	return n
}

// free gives the buffer back, with what is in it.
func (t *store) free() {
	switch cap(t.b) {
	case smallStore:
		smallStores.Put((*[smallStore]byte)(t.b[:smallStore]))
	case largeStore:
		largeStores.Put((*[largeStore]byte)(t.b[:largeStore]))
	}
	*t = store{}
}
