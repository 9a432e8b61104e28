package http2

import (
	"errors"
	"os"
	"sync"
)

// An input holds what was read and not consumed yet, b[r:w]. A small buffer
// waits with a quiet connection, a large one takes bodies.
type input struct {
	b    []byte
	r, w int
}

const (
	smallInput = 4 << 10
	largeInput = 64 << 10 // a frame does not fit often that is moved to the front
)

var (
	smallInputs = sync.Pool{New: func() any { return new([smallInput]byte) }}
	largeInputs = sync.Pool{New: func() any { return new([largeInput]byte) }}
)

func (i *input) len() int { return i.w - i.r }

// put appends p.
func (i *input) put(p []byte) {
	i.reserve(i.len() + len(p))
	i.w += copy(i.b[i.w:], p)
}

// reserve makes place for n bytes from b[r] on, and for at least one more than
// there are.
func (i *input) reserve(n int) {
	if i.r == i.w {
		i.r, i.w = 0, 0
	}
	n = max(n, i.len()+1)
	if i.r+n <= len(i.b) && i.w < len(i.b) {
		return
	}
	old := *i
	if n > len(i.b) {
		switch {
		case n <= smallInput:
			i.b = smallInputs.Get().(*[smallInput]byte)[:]
		case n <= largeInput:
			i.b = largeInputs.Get().(*[largeInput]byte)[:]
		default:
			i.b = make([]byte, n)
		}
	}
	i.r, i.w = 0, copy(i.b, old.b[old.r:old.w])
	if len(old.b) != len(i.b) {
		old.free()
	}
}

func (i *input) free() {
	switch len(i.b) {
	case smallInput:
		smallInputs.Put((*[smallInput]byte)(i.b))
	case largeInput:
		largeInputs.Put((*[largeInput]byte)(i.b))
	}
	*i = input{}
}

// read handles what the client sends until the connection is over.
func (c *Conn) read() error {
	if err := c.need(len(Preface)); err != nil {
		return err
	}
	if string(c.in.b[c.in.r:c.in.r+len(Preface)]) != Preface {
		return connError(ProtocolError, "no preface")
	}
	c.in.r += len(Preface)
	for {
		if err := c.need(headerSize); err != nil {
			return err
		}
		f := parseFrame(c.in.b[c.in.r:])
		if f.length > c.set.MaxFrame {
			return connError(FrameSizeError, "frame too long")
		}
		if err := c.need(headerSize + f.length); err != nil {
			return err
		}
		p := c.in.b[c.in.r+headerSize : c.in.r+headerSize+f.length]
		c.in.r += headerSize + f.length
		if err := c.handle(f, p); err != nil {
			return err
		}
		if c.partial.Load() != 0 && !c.block.open {
			c.partial.Store(0)
		}
	}
}

// need waits until n bytes are there.
func (c *Conn) need(n int) error {
	for c.in.len() < n {
		if err := c.fill(n); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once, to have n bytes in the end. What the client asked for with
// what it sent before goes out first.
func (c *Conn) fill(n int) error {
	c.mu.Lock()
	c.makeRoom(replyMost)
	c.flush()
	c.leave()
	quiet := c.in.len() == 0 && len(c.in.b) > smallInput && c.running == 0
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if quiet {
		c.in.free()
	}
	c.in.reserve(n)
	if c.partial.Load() == 0 && c.unfinished() {
		c.partial.Store(c.now())
	}
	m, err := c.nc.Read(c.in.b[c.in.w:])
	c.in.w += m
	c.heard.Store(c.now())
	if m > 0 {
		return nil // an error comes again
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			return c.err // whoever set the deadline says why
		}
	}
	return err
}

// unfinished reports whether the client has to hurry: it has begun what must
// come soon. Bodies are timed by those who wait for them.
func (c *Conn) unfinished() bool {
	if c.max == 0 && !c.peer.known || c.block.open {
		return true
	}
	n := c.in.len()
	return n > 0 && (n < headerSize || parseFrame(c.in.b[c.in.r:]).kind != kindData)
}
