package http2

import "sync"

// A store holds what has come of a body and was not read yet, in chunks; of
// the first one r bytes have been read.
type store struct {
	chunks [][]byte
	r      int
	size   int
}

// Chunks come in two sizes: most bodies are forms, the others fill windows.
const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10
)

var (
	smallChunks = sync.Pool{New: func() any { return new([smallChunk]byte) }}
	largeChunks = sync.Pool{New: func() any { return new([largeChunk]byte) }}
)

// write appends p.
func (t *store) write(p []byte) {
	t.size += len(p)
	for len(p) > 0 {
		last := len(t.chunks) - 1
		if last < 0 || len(t.chunks[last]) == cap(t.chunks[last]) {
			t.chunks = append(t.chunks, newChunk(last < 0 && len(p) <= smallChunk))
			last++
		}
		c := t.chunks[last]
		n := copy(c[len(c):cap(c)], p)
		t.chunks[last] = c[:len(c)+n]
		p = p[n:]
	}
}

// read takes up to len(p) bytes out.
func (t *store) read(p []byte) (n int) {
	for n < len(p) && t.size > 0 {
		m := copy(p[n:], t.chunks[0][t.r:])
		n += m
		t.size -= m
		if t.r += m; t.r == len(t.chunks[0]) {
			freeChunk(t.chunks[0])
			t.chunks = t.chunks[:copy(t.chunks, t.chunks[1:])]
			t.r = 0
		}
	}
	return n
}

// free throws away what is held.
func (t *store) free() {
	for i, c := range t.chunks {
		freeChunk(c)
		t.chunks[i] = nil
	}
	*t = store{chunks: t.chunks[:0]}
}

func newChunk(small bool) []byte {
	if small {
		return smallChunks.Get().(*[smallChunk]byte)[:0]
	}
	return largeChunks.Get().(*[largeChunk]byte)[:0]
}

func freeChunk(c []byte) {
	if cap(c) == smallChunk {
		smallChunks.Put((*[smallChunk]byte)(c[:smallChunk]))
	} else {
		largeChunks.Put((*[largeChunk]byte)(c[:largeChunk]))
	}
}
