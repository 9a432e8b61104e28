package http2

import (
	"encoding/binary"
	"time"
)

// handle handles a frame.
func (c *Conn) handle(f frame, p []byte) error {
	if c.block.open && (f.kind != kindContinuation || f.stream != c.block.first.stream) {
		return connError(ProtocolError, "header block interrupted")
	}
	if !c.peer.known && (f.kind != kindSettings || f.has(flagAck)) {
		return connError(ProtocolError, "preface without SETTINGS")
	}
	switch f.kind {
	case kindHeaders:
		return c.onHeaders(f, p)
	case kindContinuation:
		return c.onContinuation(f, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.kind {
	case kindData:
		return c.onData(f, p)
	case kindWindowUpdate:
		return c.onWindowUpdate(f, p)
	case kindRST:
		return c.onRST(f, p)
	case kindSettings:
		return c.onSettings(f, p)
	case kindPing:
		return c.onPing(f, p)
	case kindPriority:
		return c.onPriority(f, p)
	case kindGoAway:
		return c.onGoAway(f, p)
	case kindPushPromise:
		return connError(ProtocolError, "PUSH_PROMISE from a client")
	}
	return c.strange() // unknown types are ignored (section 4.1)
}

// strange pays for a frame that has no use.
func (c *Conn) strange() error {
	if !c.odd.spend(1, c.now()) {
		return connError(EnhanceYourCalm, "too many frames without use")
	}
	return nil
}

// annoyed pays for a stream that came to nothing.
func (c *Conn) annoyed() error {
	if !c.aborted.spend(1, c.now()) {
		return connError(EnhanceYourCalm, "too many streams aborted")
	}
	return nil
}

// absent says what a frame means for a stream that is not there: those that we
// reset get what was on its way, the others are over for both.
func (c *Conn) absent(id uint32) error {
	switch {
	case id > c.max && !c.unopened(id):
		return c.strange()
	case id == 0 || id > c.max:
		return connError(ProtocolError, "frame on a stream that is not open")
	case c.resets.has(id):
		return c.strange()
	}
	return connError(StreamClosed, "frame on a closed stream")
}

// unopened reports whether a stream has not been opened. One above the last that we
// served may have been: what it is about crossed our GOAWAY.
func (c *Conn) unopened(id uint32) bool { return id > c.max && c.leaving != left }

// fault resets a stream because of what the client did to it.
func (c *Conn) fault(s *Stream, code Code) error {
	s.reset(code)
	s.abort(&ResetError{Code: code})
	return c.annoyed()
}

func (c *Conn) onData(f frame, p []byte) error {
	data, err := unpad(f, p)
	if err != nil {
		return err
	}
	n := int64(f.length)
	if n > c.window {
		return connError(FlowControlError, "connection window exceeded")
	}
	c.window -= n
	s := c.streams[f.stream]
	if s == nil {
		c.credit(f.length)
		return c.absent(f.stream)
	}
	switch {
	case s.gotEnd:
		c.credit(f.length)
		return c.fault(s, StreamClosed)
	case n > s.window:
		c.credit(f.length)
		return c.fault(s, FlowControlError)
	}
	s.received += int64(len(data))
	end := f.has(flagEndStream)
	if !s.lengthFits(end) {
		c.credit(f.length)
		return c.fault(s, ProtocolError)
	}
	s.window -= n
	padding := f.length - len(data)
	c.credit(padding)
	s.credit(padding)
	s.take(data)
	if end {
		s.endReceived()
	} else if len(data) == 0 {
		return c.strange()
	}
	s.wake.Broadcast()
	return nil
}

// take hands over what came of the body, to who waits for it if anybody does.
func (s *Stream) take(data []byte) {
	n := 0
	if s.body.size == 0 {
		n = copy(s.into, data)
		s.into = s.into[n:]
	}
	s.body.write(data[n:])
}

// lengthFits reports whether what came of the body can be what the
// Content-Length field says (section 8.1.1).
func (s *Stream) lengthFits(end bool) bool {
	return s.ContentLength < 0 || s.received == s.ContentLength || !end && s.received < s.ContentLength
}

// endReceived notes the end of the request.
func (s *Stream) endReceived() {
	s.gotEnd = true
	if s.sentEnd {
		s.forget()
	}
}

// credit gives n bytes of the connection's window back.
func (c *Conn) credit(n int) {
	if c.consumed += int64(n); c.consumed >= int64(c.set.ConnWindow)/2 {
		c.out.push(appendWindowUpdate(c.out.take(), 0, uint32(c.consumed)))
		c.window += c.consumed
		c.consumed = 0
	}
}

// credit gives n bytes of the stream's window back.
func (s *Stream) credit(n int) {
	if s.gotEnd || !s.listed {
		return
	}
	c := s.c
	if s.consumed += int64(n); s.consumed >= int64(c.set.InitialWindow)/2 {
		c.out.push(appendWindowUpdate(c.out.take(), s.id, uint32(s.consumed)))
		s.window += s.consumed
		s.consumed = 0
	}
}

func (c *Conn) onWindowUpdate(f frame, p []byte) error {
	if len(p) != 4 {
		return connError(FrameSizeError, "WINDOW_UPDATE")
	}
	n := int64(binary.BigEndian.Uint32(p) &^ (1 << 31))
	if f.stream == 0 {
		if c.sendable += n; c.sendable > maxWindow {
			return connError(FlowControlError, "connection window too large")
		}
		if n == 0 {
			return connError(ProtocolError, "WINDOW_UPDATE of 0")
		}
		c.grant()
		return c.strange()
	}
	s := c.streams[f.stream]
	switch {
	case s == nil && c.unopened(f.stream):
		return connError(ProtocolError, "WINDOW_UPDATE on an idle stream")
	case s == nil:
		return c.strange() // it crossed the end
	case n == 0:
		return c.fault(s, ProtocolError)
	}
	if s.sendable += n; s.sendable > maxWindow {
		return c.fault(s, FlowControlError)
	}
	s.wake.Broadcast()
	return c.strange()
}

func (c *Conn) onRST(f frame, p []byte) error {
	if len(p) != 4 {
		return connError(FrameSizeError, "RST_STREAM")
	}
	s := c.streams[f.stream]
	if s == nil {
		if f.stream == 0 || c.unopened(f.stream) {
			return connError(ProtocolError, "RST_STREAM on an idle stream")
		}
		return c.strange()
	}
	s.forget()
	s.abort(&ResetError{Code: Code(binary.BigEndian.Uint32(p)), Remote: true})
	if !s.headSent && c.now()-s.opened < int64(patience) {
		return c.annoyed()
	}
	return c.strange()
}

// patience is how long a client has waited that does not reset a stream for
// the sake of resetting.
const patience = time.Second
