package http2

import (
	"runtime"
	"sync"
)

// An output holds what is to be sent. It belongs to Conn.mu.
type output struct {
	pending []byte
	spare   []byte // what was sent last, to be used again
	wanted  bool   // pending is to go out now
	sending bool   // a goroutine is at it, and will send what is wanted meanwhile
	broken  bool   // a write failed
	room    sync.Cond
}

const (
	outputSize = 64 << 10 // of a buffer: what is held, and a frame
	outputMost = 48 << 10 // is held before streams wait that have more to say
	// replyMost is for the reader, which must not wait for a client that writes
	// before it reads: answers to odd frames alone fill this.
	replyMost = 4 * outputMost
)

var outputs = sync.Pool{New: func() any { return new([outputSize]byte) }}

// take returns what is pending, to be appended to.
func (o *output) take() []byte {
	if o.pending == nil {
		o.pending = outputs.Get().(*[outputSize]byte)[:0]
	}
	return o.pending
}

// push puts back what take returned and wants it sent.
func (o *output) push(b []byte) { o.pending, o.wanted = b, true }

// free gives the buffers back. Nothing must be pending.
func (o *output) free() {
	for _, b := range []*[]byte{&o.pending, &o.spare} {
		if cap(*b) == outputSize {
			outputs.Put((*[outputSize]byte)((*b)[:outputSize]))
		}
		*b = nil
	}
}

// flush sends what is pending and wanted, unless somebody is at it. The caller
// holds c.mu, which is free meanwhile.
func (c *Conn) flush() {
	o := &c.out
	if o.sending {
		return
	}
	o.sending = true
	if c.running > 1 && o.wanted {
		// Streams that came in one read, or whose endpoints answered in one
		// poll, are ready to run now. What they have to say leaves with this:
		// with ten at once a seventh of the writes, and half of the time.
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	for o.wanted && !o.broken && len(o.pending) > 0 {
		b := o.pending
		o.pending, o.spare, o.wanted = o.spare, nil, false
		c.mu.Unlock()
		c.writing.Store(c.now())
		_, err := c.nc.Write(b)
		c.writing.Store(0)
		c.mu.Lock()
		if cap(b) <= 2*outputMost {
			o.spare = b[:0]
		}
		if err != nil {
			o.broken = true
			c.cut(err)
		}
		o.room.Broadcast()
	}
	o.sending, o.wanted = false, false
}

// send is flush of what is pending, wanted or not, for those who want to know
// whether it can be sent.
func (c *Conn) send() error {
	c.out.wanted = true
	if c.flush(); c.out.broken {
		return ErrClosed
	}
	return nil
}

// makeRoom waits until less than most bytes are pending. The caller holds c.mu.
func (c *Conn) makeRoom(most int) {
	o := &c.out
	for len(o.pending) >= most && !o.broken && c.err == nil {
		if o.sending {
			o.room.Wait()
			continue
		}
		o.wanted = true
		c.flush()
	}
}

// rst queues RST_STREAM. The caller holds c.mu.
func (c *Conn) rst(id uint32, code Code) {
	if c.err != nil {
		return
	}
	c.resets.add(id)
	c.out.push(appendRST(c.out.take(), id, code))
}

// headers queues a header block, with :status unless status is 0. The caller
// holds c.mu.
func (c *Conn) headers(id uint32, status int, fields []Field, end bool) {
	b := c.out.take()
	start := len(b)
	f := frame{kind: kindHeaders, flags: flagEndHeaders, stream: id}
	if end {
		f.flags |= flagEndStream
	}
	b = appendFrame(b, f)
	b = c.enc.begin(b)
	if status != 0 {
		b = c.enc.status(b, status)
	}
	for i := range fields {
		if name := fields[i].Name; !ofConnection(name) {
			b = c.enc.field(b, name, fields[i].Value)
		}
	}
	n := len(b) - start - headerSize
	setLength(b[start:], n)
	if n > c.peer.maxFrame {
		b = splitBlock(b, start, c.peer.maxFrame)
	}
	c.out.pending = b
}

// splitBlock makes CONTINUATION frames of what is too long for the HEADERS
// frame at b[start:].
func splitBlock(b []byte, start, most int) []byte {
	f := parseFrame(b[start:])
	block := append([]byte(nil), b[start+headerSize:]...)
	flags := f.flags &^ flagEndHeaders
	b = b[:start]
	for k := kindHeaders; ; k, flags = kindContinuation, 0 {
		n := min(len(block), most)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		b = appendFrame(b, frame{length: n, kind: k, flags: flags, stream: f.stream})
		b = append(b, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return b
		}
	}
}

// ofConnection reports whether a field must not be sent (RFC 9113, section
// 8.2.2), whatever its case.
func ofConnection(name []byte) bool {
	switch len(name) {
	case 7:
		return fold(name, "upgrade")
	case 10:
		return fold(name, "connection") || fold(name, "keep-alive")
	case 16:
		return fold(name, "proxy-connection")
	case 17:
		return fold(name, "transfer-encoding")
	}
	return false
}

func fold(name []byte, lower string) bool {
	for i, c := range name {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// data queues a DATA frame that the windows have room for. The caller holds
// c.mu.
func (s *Stream) data(p []byte, end bool) {
	c := s.c
	f := frame{length: len(p), kind: kindData, stream: s.id}
	if end {
		f.flags = flagEndStream
	}
	c.out.pending = append(appendFrame(c.out.take(), f), p...)
	n := int64(len(p))
	s.sendable -= n
	c.sendable -= n
	c.odd.earn(2 + n>>8) // clients answer with WINDOW_UPDATE
	s.pass()
	if end {
		s.endSent()
	}
}
