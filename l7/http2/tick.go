package http2

import (
	"errors"
	"time"
)

// Why Tick cuts a connection off.
var (
	errHead  = errors.New("http2: header block took too long")
	errWrite = errors.New("http2: client takes nothing")
	errPing  = errors.New("http2: client does not answer")
)

// Tick does what has become due. It does not block, and may be called at any
// time from any goroutine; how often it is called is how exact the times of
// Settings are.
func (c *Conn) Tick() {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.late(now); err != nil {
		c.cut(err)
	}
	if c.err != nil {
		return
	}
	if c.waiting > 0 {
		c.stalled(now)
	}
	if c.running == 0 {
		c.quiet(now)
	} else if c.pinged == 0 && now-c.heard.Load() > int64(c.set.Ping) {
		c.pinged = now
		c.out.push(appendPing(c.out.take(), 0, alive))
	}
	if c.leaving == staying && c.asked != 0 && now-c.asked > int64(lastCall) {
		c.warn()
	}
	if c.leaving == warned && now-c.warned > int64(lastCall) {
		c.goAway()
	}
	c.leave()
	if c.out.wanted && !c.out.sending && c.err == nil {
		c.workers.Go(c.flushAside)
	}
}

// flushAside sends what is pending for those who must not block.
func (c *Conn) flushAside() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	c.leave()
}

// late says why the connection is given up.
func (c *Conn) late(now int64) error {
	over := func(since int64, most time.Duration) bool { return since != 0 && now-since > int64(most) }
	lives := c.err == nil // what is over may still be written
	switch {
	case over(c.writing.Load(), c.set.Stall):
		return errWrite
	case lives && over(c.partial.Load(), c.set.Head):
		return errHead
	case lives && over(c.pinged, c.set.Ping) && over(c.heard.Load(), c.set.Ping):
		return errPing
	}
	return nil
}

// stalled resets the streams that have waited for the client for too long.
func (c *Conn) stalled(now int64) {
	for _, s := range c.streams {
		since := s.reading
		if s.patient {
			since = 0
		}
		if s.writing != 0 && (since == 0 || s.writing < since) {
			since = s.writing
		}
		if since != 0 && now-since > int64(c.set.Stall) {
			s.reset(Cancel)
			s.abort(ErrStalled)
		}
	}
}

// quiet gives back what a connection without streams does not need, and ends
// it in time.
func (c *Conn) quiet(now int64) {
	if c.leaving != staying {
		return
	}
	switch still := now - c.since; {
	case still > int64(c.set.Idle):
		c.warn()
	case still > int64(lastCall):
		for ; c.idle > 0; c.idle-- {
			c.work <- nil
		}
		if !c.out.sending && len(c.out.pending) == 0 {
			c.out.free()
		}
	}
}

// Shutdown ends the connection in an orderly way: the client is told, what is
// on its way is served, and Serve returns when there is nothing left to
// answer. It does not block.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil || c.leaving != staying || c.asked != 0:
		return
	case c.max == 0:
		// A client whose very first request is told to go elsewhere may think
		// that nobody serves it.
		c.asked = c.now()
		return
	}
	c.warn()
	if !c.out.sending {
		c.workers.Go(c.flushAside)
	}
}

// lastCall is how long a request is waited for that may be on its way when the
// client learns that the connection ends: a round trip and a retransmission.
// The answer to a PING ends the wait.
const lastCall = time.Second

// What our PINGs say.
var (
	alive    = [8]byte{'a', 'l', 'i', 'v', 'e'}
	farewell = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}
)

// warn announces the end without a limit, so that no request is refused that
// crosses it (section 6.8).
func (c *Conn) warn() {
	c.leaving, c.warned = warned, c.now()
	c.out.push(appendGoAway(c.out.take(), lastStream, NoError, ""))
	c.out.push(appendPing(c.out.take(), 0, farewell))
}

// goAway says which stream is the last.
func (c *Conn) goAway() {
	c.leaving = left
	c.out.push(appendGoAway(c.out.take(), c.max, NoError, ""))
}

// leave ends the connection when the last stream has been served and all is
// sent. The caller holds c.mu.
func (c *Conn) leave() {
	if c.leaving == left && c.running == 0 && !c.out.wanted && !c.out.sending && c.err == nil {
		c.fail(errOver)
		c.nc.SetReadDeadline(past)
	}
}
