package proxy

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/http1"
)

// An upload carries the rest of a request body while the response may begin
// already. Until it has returned it owns the client's side of the input.
type upload struct {
	c    *conn
	x    *exchange
	b    *backend
	over chan struct{} // closed when it has returned

	// halt is set by stop, so that what stop breaks is no failure.
	halt     atomic.Bool
	consumed atomic.Bool // bytes have been taken from the client

	// Valid once over is closed.
	complete bool // the body went out whole
	failed   failure
}

// A failure is why an upload is not complete.
type failure uint8

const (
	failedNot     failure = iota
	failedClient          // the client went away or took too long
	failedChunk           // the client's chunked coding is broken
	failedBackend         // the endpoint takes no more; it may have answered
)

// startUpload begins to carry what of x's body is not here yet.
func (c *conn) startUpload(x *exchange, b *backend) *upload {
	u := &upload{c: c, x: x, b: b, over: make(chan struct{})}
	c.s.group.Go(func() {
		defer close(u.over)
		u.failed = u.run()
		u.complete = u.failed == failedNot
		if u.failed == failedClient || u.failed == failedChunk {
			// The endpoint shall not take the torn body for a whole one, and
			// whoever waits for its answer shall stop.
			b.tcp.Close()
		}
	})
	return u
}

// finished reports whether the whole body went out.
func (u *upload) finished() bool {
	if u == nil {
		return true
	}
	select {
	case <-u.over:
		return u.complete
	default:
		return false
	}
}

// consumedAny reports whether the request can no longer be sent again.
func (u *upload) consumedAny() bool { return u != nil && u.consumed.Load() }

// stop ends the upload and waits for it. What it breaks by that are the
// connection to the endpoint, which cannot be used again, and nothing else.
func (u *upload) stop() {
	if u == nil || u.finished() {
		return
	}
	u.halt.Store(true)
	u.c.raw.SetReadDeadline(time.Unix(1, 0))
	u.b.tcp.Close()
	<-u.over
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if u.c.deadline.cut() == 0 {
		u.c.raw.SetReadDeadline(time.Time{})
	}
}

func (u *upload) run() failure {
	in := buffer{b: getLarge()}
	defer putLarge(in.b)
	for d := &u.x.up; !d.done; {
		if d.framing == http1.Length && d.left >= spliceFrom && u.c.tcp != nil {
			if f := u.splice(d); f != failedNot {
				return f
			}
			continue
		}
		if f := u.copy(d, &in); f != failedNot {
			return f
		}
	}
	// What came behind the body is the next request.
	u.c.in.clear()
	u.c.in.put(in.bytes())
	if !u.c.arm(u.c.p.timeouts.Response) {
		return failedClient
	}
	return failedNot
}

// copy carries what one read yields.
func (u *upload) copy(d *body, in *buffer) failure {
	if !u.c.arm(u.c.p.timeouts.Stall) {
		return failedClient
	}
	most := len(in.b)
	if d.framing == http1.Length {
		most = int(min(int64(most), d.left))
	}
	n, err := u.c.rw.Read(in.b[:most])
	in.r, in.w = 0, n
	if n == 0 && err != nil {
		return u.unless(failedClient)
	}
	u.consumed.Store(true)
	size, err := d.take(in.bytes())
	if err != nil {
		return failedChunk
	}
	if _, err := u.b.tcp.Write(in.b[:size]); err != nil {
		return failedBackend
	}
	u.b.sending += int64(size)
	in.r = size
	return failedNot
}

// splice carries a part of a large body through a pipe of the kernel's.
func (u *upload) splice(d *body) failure {
	if !u.c.arm(u.c.p.timeouts.Stall) {
		return failedClient
	}
	part := &io.LimitedReader{R: u.c.tcp, N: min(d.left, spliceMost)}
	n, err := u.b.tcp.ReadFrom(part)
	if n > 0 {
		u.consumed.Store(true)
		u.b.sending += n
		d.advance(n)
	}
	var op *net.OpError
	switch {
	case err == nil && part.N == 0:
		return failedNot
	case err == nil:
		return u.unless(failedClient) // the client's end
	case errors.As(err, &op) && op.Op == "write":
		return failedBackend
	}
	return u.unless(failedClient)
}

// unless returns f, unless the upload was stopped.
func (u *upload) unless(f failure) failure {
	if u.halt.Load() {
		return failedBackend
	}
	return f
}
