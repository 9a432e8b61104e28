package http2

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
