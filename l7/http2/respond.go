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
