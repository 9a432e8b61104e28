package proxy

import (
	"bytes"
	"errors"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/http2"
)

// speaksHTTP2 reports whether the handshake chose HTTP/2.
func (c *conn) speaksHTTP2() bool {
	return c.tls != nil && c.tls.ConnectionState().NegotiatedProtocol == "h2"
}

// isPreface reports whether a head is the begin of HTTP/2 with prior knowledge
// (RFC 9113, section 3.3), where that is let in. Only the first head of a
// connection can be.
func (c *conn) isPreface(head []byte) bool {
	return c.s.entry.H2C && c.tls == nil && c.requests == 0 && bytes.HasPrefix([]byte(http2.Preface), head)
}

// serveHTTP2 serves the connection as one of HTTP/2. What has been read of it
// lies in the input.
func (c *conn) serveHTTP2() {
	var requests atomic.Int64
	var h *http2.Conn
	h = http2.New(c.rw, c.http2Settings(), func(s *http2.Stream) {
		if requests.Add(1) == int64(c.bounds.Caps.Requests) {
			h.Shutdown()
		}
		c.s.carry(c.client, streamFront{s})
	})
	h.Unread(c.in.bytes())
	c.in.clear()
	if !c.deadline.move(0, busy) { // h keeps its own times
		return
	}
	c.s.tend(h)
	defer c.s.untend(h)
	err := h.Serve(c.s.ctx)
	var fault *http2.ConnError
	if err == nil || errors.As(err, &fault) {
		c.linger()
	}
	if err != nil {
		c.torn = true // said or done already, or of no use
		c.p.log.Debug("connection of HTTP/2 ended", "entrypoint", c.s.entry.Name, "err", err)
	}
}

func (c *client) http2Settings() http2.Settings {
	return http2.Settings{
		MaxHeaderList: c.bounds.Head.Head,
		MaxFields:     c.bounds.Head.Fields,
		Connect:       true,
		Now:           c.p.clock.now,
		Idle:          c.bounds.Timeouts.Idle,
		Head:          c.bounds.Timeouts.Head,
		Stall:         c.bounds.Timeouts.Stall,
	}
}

// tend has the sweeper and the drain look after h until untend.
func (s *server) tend(h *http2.Conn) {
	s.mu.Lock()
	s.tended[h] = struct{}{}
	s.mu.Unlock()
	// In this order, as the drain does it the other way round.
	if s.draining.Load() {
		h.Shutdown()
	}
}

func (s *server) untend(h *http2.Conn) {
	s.mu.Lock()
	delete(s.tended, h)
	s.mu.Unlock()
}

// eachTended calls do for every connection of HTTP/2.
func (s *server) eachTended(do func(*http2.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.tended {
		do(h)
	}
}
