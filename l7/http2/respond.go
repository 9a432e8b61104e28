package http2

// WriteInterim sends an interim response (1xx), except 101, which HTTP/2 does
// not know. There may be several before WriteHead.
func (s *Stream) WriteInterim(status int, fields []Field) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.mayWrite(false); err != nil {
		return err
	}
	c.headers(s.id, status, fields, false)
	return c.send()
}

// WriteHead begins the response; end is whether it has no body. Names of
// fields may be in any case, those that concern a connection are left out. A
// head with a body to come stays here until the first Write, WriteLast,
// WriteEnd or Flush, to leave with what comes then.
func (s *Stream) WriteHead(status int, fields []Field, end bool) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.mayWrite(false); err != nil {
		return err
	}
	s.headSent = true
	c.headers(s.id, status, fields, end)
	if !end {
		return nil
	}
	s.endSent()
	return c.send()
}

// Write sends a part of the body. It blocks while the client takes no more,
// and returns how much it has taken over.
func (s *Stream) Write(p []byte) (int, error) { return s.write(p, false) }

// WriteLast sends the last part of the body, which may be empty: Write and
// WriteEnd in one frame.
func (s *Stream) WriteLast(p []byte) error {
	_, err := s.write(p, true)
	return err
}

// Flush sends what WriteHead has kept back. It must be called before the first
// part of the body is waited for.
func (s *Stream) Flush() error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.mayWrite(true); err != nil {
		return err
	}
	return c.send()
}

// WriteEnd ends the response, with trailers if there are any.
func (s *Stream) WriteEnd(trailers []Field) error {
	if len(trailers) == 0 {
		return s.WriteLast(nil)
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.mayWrite(true); err != nil {
		return err
	}
	c.headers(s.id, 0, trailers, true)
	s.endSent()
	return c.send()
}

// Reset ends the stream where it is. The client sees the code.
func (s *Stream) Reset(code Code) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err == nil && !s.sentEnd {
		s.reset(code)
		s.abort(&ResetError{Code: code})
		c.flush()
	}
}

// mayWrite waits for room and reports why nothing can be sent. headSent is
// whether the head must have been. The caller holds c.mu.
func (s *Stream) mayWrite(headSent bool) error {
	s.c.makeRoom(outputMost)
	switch {
	case s.err != nil:
		return s.err
	case s.sentEnd || s.headSent != headSent:
		return ErrEnded
	}
	return nil
}

// endSent notes that END_STREAM is on its way. The caller holds c.mu.
func (s *Stream) endSent() {
	s.sentEnd = true
	s.c.aborted.earn(1) // as many may be given up as are answered
	if s.gotEnd {
		s.forget()
	}
}

// write sends DATA frames as far as the windows allow, and waits where they do
// not.
func (s *Stream) write(p []byte, end bool) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := s.mayWrite(true); err != nil {
			return n, err
		}
		m := s.part(len(p) - n)
		if m == 0 && n < len(p) {
			if err := c.send(); err != nil {
				return n, err
			}
			// c.mu was free meanwhile.
			if s.err == nil && s.part(len(p)-n) == 0 {
				s.await()
			}
			continue
		}
		last := end && n+m == len(p)
		if m > 0 || last {
			s.data(p[n:n+m], last)
		}
		if n += m; n == len(p) {
			break
		}
	}
	return n, c.send()
}

// part returns how many of n bytes may be sent now in one frame. The caller
// holds c.mu.
func (s *Stream) part(n int) int {
	c := s.c
	if n == 0 || s.sendable <= 0 || c.sendable <= 0 {
		return 0
	}
	if c.blocked.first != nil && !s.turn {
		return 0 // others came first
	}
	return int(min(int64(n), s.sendable, c.sendable, int64(c.peer.maxFrame), dataSize))
}

// dataSize is the longest payload of a DATA frame sent: with the header before
// it it fills a TLS record.
const dataSize = 16<<10 - headerSize

// await waits for window: the stream's own, or its turn at the connection's.
// The caller holds c.mu.
func (s *Stream) await() {
	c := s.c
	s.pass()
	if s.sendable > 0 {
		c.blocked.push(s)
		if c.grant(); s.turn {
			return
		}
	}
	s.writing = c.now()
	s.wait()
	s.writing = 0
}

// pass gives the stream's turn to the next one. The caller holds c.mu.
func (s *Stream) pass() {
	if s.turn {
		s.turn = false
		s.c.grant()
	}
}

// grant lets the stream that waits longest use the connection's window, if
// there is any. The caller holds c.mu.
func (c *Conn) grant() {
	if s := c.blocked.first; s != nil && c.sendable > 0 {
		c.blocked.remove(s)
		s.turn = true
		s.wake.Broadcast()
	}
}

// A queue is a list of streams, each in at most one.
type queue struct{ first, last *Stream }

func (q *queue) push(s *Stream) {
	if s.queued {
		return
	}
	s.queued, s.before, s.behind = true, q.last, nil
	if q.last != nil {
		q.last.behind = s
	} else {
		q.first = s
	}
	q.last = s
}

func (q *queue) remove(s *Stream) {
	if !s.queued {
		return
	}
	if s.before != nil {
		s.before.behind = s.behind
	} else {
		q.first = s.behind
	}
	if s.behind != nil {
		s.behind.before = s.before
	} else {
		q.last = s.before
	}
	s.queued, s.before, s.behind = false, nil, nil
}
