package accesslog

import (
	"errors"
	"sync"
)

// chunkSize is how much is written at once, in bytes.
const chunkSize = 64 << 10

// urgentChunks are how many full ones do not wait for more.
const urgentChunks = 4

// A buffer holds the lines that wait for the disk, in chunks of whole lines.
type buffer struct {
	most int // bytes that may wait
	// bell rings when the first line waits, urgent when many do.
	bell, urgent chan struct{}

	mu      sync.Mutex
	waiting bool // bell has rung since the latest take
	active  []byte
	full    [][]byte
	held    int // bytes that have not been written, taken ones too
	free    [][]byte
	closed  bool
}

func newBuffer(most int) *buffer {
	return &buffer{most: most, bell: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
}

// Why a line was not added.
var (
	errFull   = errors.New("no room")
	errClosed = errors.New("closed")
)

// add takes a copy of line.
func (b *buffer) add(line []byte) error {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return errClosed
	case b.held+len(line) > b.most:
		b.mu.Unlock()
		return errFull
	}
	urgent := false
	if len(b.active)+len(line) > chunkSize && len(b.active) > 0 {
		b.full = append(b.full, b.active)
		b.active = nil
		urgent = len(b.full) == urgentChunks
	}
	if b.active == nil {
		b.active = b.fresh()
	}
	b.active = append(b.active, line...)
	b.held += len(line)
	first := !b.waiting
	b.waiting = true
	b.mu.Unlock()
	if first {
		ring(b.bell)
	}
	if urgent {
		ring(b.urgent)
	}
	return nil
}

// fresh returns an empty chunk. The caller holds mu.
func (b *buffer) fresh() []byte {
	if n := len(b.free); n > 0 {
		c := b.free[n-1]
		b.free = b.free[:n-1]
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

// take returns the chunks that wait. Each is given back by done. After the last
// one nothing is added.
func (b *buffer) take(last bool) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = last
	chunks := b.full
	if len(b.active) > 0 {
		chunks = append(chunks, b.active)
		b.active = nil
	}
	b.full, b.waiting = nil, false
	return chunks
}

// freeChunks are kept for reuse; more than that came of a stall.
const freeChunks = 2 * urgentChunks

// done makes room where chunk was.
func (b *buffer) done(chunk []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= len(chunk)
	if len(b.free) < freeChunks && cap(chunk) == chunkSize {
		b.free = append(b.free, chunk)
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
