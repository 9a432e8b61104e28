package proxy

import (
	"io"
	"sync"
)

// A buffer holds bytes b[r:w] that were read and not yet consumed.
type buffer struct {
	b    []byte
	r, w int
	// base is where an empty buffer starts: a head that lies there has room
	// before it to grow into.
	base int
}

func (b *buffer) bytes() []byte { return b.b[b.r:b.w] }
func (b *buffer) len() int      { return b.w - b.r }
func (b *buffer) clear()        { b.r, b.w = b.base, b.base }

// put appends p to an empty buffer.
func (b *buffer) put(p []byte) {
	if len(p) > len(b.b)-b.w {
		b.b = append(b.b[:b.w], make([]byte, len(p))...)
	}
	b.w += copy(b.b[b.w:], p)
}

// fill reads once, making room first: what is held moves to the front, and a
// full buffer grows up to most bytes.
func (b *buffer) fill(r io.Reader, most int) error {
	switch {
	case b.r == b.w:
		b.clear()
	case b.w == len(b.b) && b.r > b.base:
		b.w = b.base + copy(b.b[b.base:], b.bytes())
		b.r = b.base
	case b.w == len(b.b):
		if len(b.b) >= most {
			return io.ErrShortBuffer
		}
		bigger := make([]byte, min(2*len(b.b), most))
		copy(bigger, b.b)
		b.b = bigger
	}
	n, err := r.Read(b.b[b.w:])
	b.w += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// Buffers come in two sizes: small ones wait with idle clients for a request,
// large ones carry a response or an upload.
const (
	smallSize = 4 << 10
	largeSize = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallSize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

func getSmall() []byte { return smallBuffers.Get().(*[smallSize]byte)[:] }
func getLarge() []byte { return largeBuffers.Get().(*[largeSize]byte)[:] }

// putSmall takes b back, unless it has grown.
func putSmall(b []byte) {
	if len(b) == smallSize {
		smallBuffers.Put((*[smallSize]byte)(b))
	}
}

func putLarge(b []byte) {
	if len(b) == largeSize {
		largeBuffers.Put((*[largeSize]byte)(b))
	}
}
