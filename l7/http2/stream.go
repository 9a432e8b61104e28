package http2

import (
	"io"
	"sync"
)

// A Stream is one request and its response. Two goroutines may use it at once,
// one that reads and one that writes.
type Stream struct {
	Head

	c  *Conn
	id uint32
	// The following belong to c.mu.
	wake     sync.Cond
	body     store
	into     []byte // where Read waits to have what comes
	trailers []Field
	sendable int64 // window for what we send
	window   int64 // window for what we receive
	consumed int64 // of it, to be given back
	received int64 // bytes of the body
	opened   int64 // when

	listed   bool // in c.streams
	counted  bool // in c.open
	headSent bool
	sentEnd  bool // END_STREAM went out
	gotEnd   bool // END_STREAM came in
	deaf     bool // StopRead was called
	patient  bool // Patient was called
	err      error
	notify   func()
	over     chan struct{}

	reading, writing int64 // since when a goroutine waits for the client; 0: none does
	before, behind   *Stream
	queued           bool // in c.blocked, between the two
	turn             bool // may use the connection's window
}

var streams = sync.Pool{New: func() any {
	return &Stream{Head: Head{arena: make([]byte, 0, 1<<10), Fields: make([]Field, 0, 16)}}
}}

// newStream returns a stream that nobody else knows yet.
func newStream(c *Conn, id uint32) *Stream {
	s := streams.Get().(*Stream)
	s.Head.reset(false)
	*s = Stream{Head: s.Head, c: c, id: id, body: s.body}
	s.wake.L = &c.mu
	return s
}

func putStream(s *Stream) {
	s.body.free()
	if cap(s.arena) > 16<<10 || cap(s.Fields) > 256 {
		return // a rare giant is not kept
	}
	s.c, s.trailers, s.notify, s.over, s.err = nil, nil, nil, nil, nil
	streams.Put(s)
}

// ID is the stream's identifier, for logs.
func (s *Stream) ID() uint32 { return s.id }

// Err returns why the stream was aborted, nil while it was not.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// Notify has f called once when the stream is aborted: the client reset it, or
// the connection ended. If it was before, f is called at once. f must neither
// block nor use the stream. Once Notify(nil) has returned, f is not called any
// more.
func (s *Stream) Notify(f func()) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.notify = f
	if f != nil && s.err != nil {
		f()
	}
}

// Done returns a channel that is closed when the stream is aborted. Notify
// does the same without a channel.
func (s *Stream) Done() <-chan struct{} {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.over == nil {
		s.over = make(chan struct{})
		if s.err != nil {
			close(s.over)
		}
	}
	return s.over
}

// Read reads the body. It returns io.EOF behind its end, and why the stream
// was aborted where it was.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	if !s.deaf {
		n = s.body.read(p)
	}
	for n == 0 && !s.gotEnd && !s.deaf && s.err == nil && len(p) > 0 {
		s.reading, s.into = c.now(), p
		s.wait()
		n = len(p) - len(s.into)
		s.reading, s.into = 0, nil
	}
	c.credit(n)
	switch {
	case s.err != nil:
		return 0, s.err
	case n > 0:
	case s.deaf:
		return 0, ErrEnded
	case s.gotEnd:
		return 0, io.EOF
	}
	s.credit(n)
	c.flush()
	return n, nil
}

// StopRead ends a Read that waits, and all later ones, with ErrEnded; with
// false it takes that back. The response goes on. It does not block.
func (s *Stream) StopRead(stop bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.deaf = stop
	s.wake.Broadcast()
}

// Patient lets Read wait for any time: somebody else watches over the body, or
// the client's answers to PINGs are all that is asked of it.
func (s *Stream) Patient() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.patient = true
}

// Abort is a Reset that does not block: reads and writes end at once, and the
// client is told when serve has returned.
func (s *Stream) Abort(code Code) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.sentEnd {
		s.abort(&ResetError{Code: code})
	}
}

// Trailers returns the trailer fields, once Read has returned io.EOF.
func (s *Stream) Trailers() []Field {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers
}

// wait waits until the client has done something. The caller holds c.mu.
func (s *Stream) wait() {
	s.c.waiting++
	s.wake.Wait()
	s.c.waiting--
}

// abort ends the stream with err. The caller holds c.mu.
func (s *Stream) abort(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.wake.Broadcast()
	if s.over != nil {
		close(s.over)
	}
	if s.notify != nil {
		s.notify()
	}
}

// forget removes the stream from those that frames can belong to. The caller
// holds c.mu.
func (s *Stream) forget() {
	if s.listed {
		s.listed = false
		delete(s.c.streams, s.id)
	}
	if s.counted {
		s.counted = false
		s.c.open--
	}
}

// reset sends RST_STREAM and ends the stream. The caller holds c.mu.
func (s *Stream) reset(code Code) {
	if !s.listed {
		return
	}
	s.forget()
	s.c.rst(s.id, code)
}

// conclude brings the stream to its end when it has been served. The caller
// holds c.mu.
func (s *Stream) conclude() {
	c := s.c
	switch {
	case s.sentEnd:
		s.reset(NoError) // the rest of the body is not needed (section 8.1)
	case s.err == nil:
		s.reset(InternalError)
	default:
		code := Cancel
		if r, ok := s.err.(*ResetError); ok { //nolint:errorlint // as abort got it
			code = r.Code
		}
		s.reset(code)
	}
	c.blocked.remove(s)
	s.pass()
	if n := s.body.size; n > 0 && c.err == nil {
		c.credit(n)
	}
}
