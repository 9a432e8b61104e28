package http2

import (
	"context"
	"errors"
	"io"
	"time"
)

// end tells the client why the connection is over, and all streams that it is.
func (c *Conn) end(err error, fault *ConnError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault != nil && c.err == nil {
		c.out.push(appendGoAway(c.out.take(), c.max, fault.Code, fault.Reason))
		c.flush()
	}
	switch {
	case c.err != nil:
	case errors.Is(err, io.EOF) && c.open == 0 && c.in.len() == 0:
		c.fail(errOver)
	case fault != nil:
		c.fail(err)
	default:
		c.cut(err)
	}
	c.finished = true
	for ; c.idle > 0; c.idle-- {
		c.work <- nil
	}
}

// fail ends all streams. The caller holds c.mu.
func (c *Conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range c.streams {
		s.abort(ErrClosed)
	}
	c.out.room.Broadcast()
}

// Abort cuts the connection off. It does not block and may be called at any
// time.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut(context.Canceled)
}

// cut ends reads and writes, and thereby Serve. The caller holds c.mu.
func (c *Conn) cut(err error) {
	c.fail(err)
	c.nc.SetDeadline(past)
}

// past is a deadline that interrupts at once.
var past = time.Unix(1, 0)

// errOver is the cause of an orderly end.
var errOver = errors.New("connection is over")
