package http2

import "errors"

// A block is a header block of which not all frames have come.
type block struct {
	open  bool
	first frame // the HEADERS frame
	bytes []byte
	parts int // CONTINUATION frames
}

// maxParts is how many CONTINUATION frames a block may have: with the default
// limits a few are enough, and thousands are CVE-2024-27316.
const maxParts = 16

func (c *Conn) onHeaders(f frame, p []byte) error {
	if f.stream&1 == 0 {
		return connError(ProtocolError, "HEADERS on stream 0 or a server's")
	}
	p, err := unpad(f, p)
	if err != nil {
		return err
	}
	if f.has(flagPriority) {
		if len(p) < 5 {
			return connError(FrameSizeError, "HEADERS")
		}
		if dependsOn(p) == f.stream {
			return connError(ProtocolError, "stream depends on itself")
		}
		p = p[5:]
	}
	if f.has(flagEndHeaders) {
		return c.onBlock(f, p)
	}
	c.block = block{open: true, first: f, bytes: append(c.block.bytes[:0], p...)}
	return nil
}

func (c *Conn) onContinuation(f frame, p []byte) error {
	b := &c.block
	if !b.open {
		return connError(ProtocolError, "CONTINUATION without HEADERS")
	}
	// A decoded field counts more than its code is long: what is longer than
	// the limit need not be waited for. Nor is there a reason for empty parts.
	b.parts++
	b.bytes = append(b.bytes, p...)
	end := f.has(flagEndHeaders)
	if b.parts > maxParts || len(b.bytes) > c.set.MaxHeaderList+c.set.MaxFrame || len(p) == 0 && !end {
		return connError(EnhanceYourCalm, "header block too large")
	}
	if !end {
		return nil
	}
	b.open = false
	err := c.onBlock(b.first, b.bytes)
	b.bytes = nil
	return err
}

// onBlock handles a whole header block: a request, the trailers of one, or
// what belongs to a stream that is over.
func (c *Conn) onBlock(f frame, b []byte) error {
	c.mu.Lock()
	s, fresh := c.streams[f.stream], f.stream > c.max && c.leaving != left
	c.mu.Unlock()
	switch {
	case s != nil:
		return c.onTrailers(f, b)
	case fresh:
		return c.onRequest(f, b)
	}
	if _, err := c.trailers(b); err != nil && !isMalformed(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.absent(f.stream)
}

func isMalformed(err error) bool {
	var m malformed
	return errors.As(err, &m)
}

// decode decodes a block into h. Behind a malformed field the rest is decoded
// as well: later blocks depend on it.
func (c *Conn) decode(h *Head, b []byte) error {
	var bad error
	c.dec.start(b)
	for {
		name, value, ok, err := c.dec.next()
		if err != nil {
			return connError(CompressionError, err.Error())
		}
		if !ok {
			return bad
		}
		if bad == nil {
			bad = h.add(name, value, &c.set)
		}
	}
}

// onRequest opens a stream.
func (c *Conn) onRequest(f frame, b []byte) error {
	s := newStream(c, f.stream)
	end := f.has(flagEndStream)
	err := c.decode(&s.Head, b)
	if err == nil {
		err = s.finish(end, c.set.Connect)
	}
	if err != nil && !isMalformed(err) {
		putStream(s)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max = f.stream
	if c.asked != 0 && c.leaving == staying {
		c.warn()
	}
	if err != nil || c.full() {
		code := ProtocolError
		if err == nil {
			code = RefusedStream
		}
		c.rst(f.stream, code)
		putStream(s)
		return c.annoyed()
	}
	if s.large {
		c.headers(f.stream, 431, nil, true)
		c.out.wanted = true
		if !end {
			c.rst(f.stream, NoError)
		}
		putStream(s)
		return c.annoyed()
	}
	s.listed, s.counted, s.gotEnd = true, true, end
	s.sendable, s.window, s.opened = c.peer.window, int64(c.set.InitialWindow), c.now()
	c.streams[f.stream] = s
	c.open++
	c.odd.earn(2)
	c.dispatch(s)
	return nil
}

// full reports whether another stream is too much: for what the client may
// count, or because streams that it has reset are still being served
// (CVE-2023-44487).
func (c *Conn) full() bool {
	most := int(c.set.MaxConcurrentStreams)
	return c.open >= most || c.running >= 2*most
}

// onTrailers ends a request with a trailer section.
func (c *Conn) onTrailers(f frame, b []byte) error {
	h, err := c.trailers(b)
	if err != nil && !isMalformed(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.stream]
	switch {
	case s == nil:
		return c.absent(f.stream)
	case s.gotEnd:
		return c.fault(s, StreamClosed)
	case err != nil || h.large || !f.has(flagEndStream) || !s.lengthFits(true):
		return c.fault(s, ProtocolError)
	}
	s.trailers = h.Fields
	s.endReceived()
	s.wake.Broadcast()
	return nil
}

// trailers decodes a block that opens no stream.
func (c *Conn) trailers(b []byte) (*Head, error) {
	h := new(Head)
	h.reset(true)
	return h, c.decode(h, b)
}

// recent remembers the streams that we reset last: the client may have sent
// more before it learned that.
type recent struct {
	ids  []uint32
	next int
}

// recentMost is more than the streams that a client can have open.
const recentMost = 256

func (r *recent) add(id uint32) {
	if len(r.ids) < recentMost {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % recentMost
}

func (r *recent) has(id uint32) bool {
	for _, known := range r.ids {
		if known == id {
			return true
		}
	}
	return false
}
