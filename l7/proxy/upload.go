package proxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/socket"
)

// An upload carries the rest of a request body while the response may begin
// already. Until it has returned it owns the client's side of the input.
type upload struct {
	over chan struct{} // closed when it has returned
	// held says that the body is here, and no client is waited for.
	held bool
	// interrupt ends the waits for the client and for the endpoint, whose
	// connection is lost by it; resume lets the client be read again.
	interrupt, resume func()

	// halt is set by stop, so that what stop breaks is no failure.
	halt     atomic.Bool
	consumed atomic.Bool // bytes have been taken from the client
	answered atomic.Bool // the client gets a response
	torn     atomic.Bool // the client's side failed
	last     atomic.Bool // the last of it is being written

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
	failedLarge           // it is longer than it may be
	failedBackend         // the endpoint takes no more; it may have answered
)

// failureOf tells a body that is wrong from one that does not come.
func failureOf(err error) failure {
	var bad *http1.Error
	switch {
	case errors.Is(err, http1.ErrBodyLarge):
		return failedLarge
	case errors.As(err, &bad):
		return failedChunk
	}
	return failedClient
}

// start runs carry in a goroutine that g waits for. tear closes the endpoint's
// connection: the endpoint shall not take a torn body for a whole one, and
// whoever waits for its answer shall stop.
func (u *upload) start(g *sync.WaitGroup, carry func() failure, tear func()) {
	u.over = make(chan struct{})
	g.Go(func() {
		defer close(u.over)
		u.failed = carry()
		u.complete = u.failed == failedNot
		if u.failed != failedNot && u.failed != failedBackend {
			u.torn.Store(true)
			tear()
		}
	})
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

// lastTime is how long a response is kept back for an upload whose last bytes
// are on their way: mostly they have arrived, since the endpoint answers, and
// only the writer has not come to know. Without it the connection would end.
const lastTime = 50 * time.Millisecond

// finishes is finished for who can wait that long.
func (u *upload) finishes() bool {
	if u == nil || u.finished() {
		return true
	}
	if !u.last.Load() {
		return false
	}
	t := time.NewTimer(lastTime)
	defer t.Stop()
	select {
	case <-u.over:
	case <-t.C:
	}
	return u.finished()
}

// consumedAny reports whether the request can no longer be sent again.
func (u *upload) consumedAny() bool { return u != nil && u.consumed.Load() }

// isTorn reports whether the body does not come to its end by the client's
// fault. What an endpoint says to a part of it is no answer to the request.
func (u *upload) isTorn() bool { return u != nil && u.torn.Load() }

// markAnswered says that the client gets its response while the body comes.
func (u *upload) markAnswered() {
	if u != nil {
		u.answered.Store(true)
	}
}

// stop ends the upload and waits for it. What it breaks by that are the
// connection to the endpoint, which cannot be used again, and nothing else.
func (u *upload) stop() {
	if u == nil || u.finished() {
		return
	}
	u.halt.Store(true)
	u.interrupt()
	<-u.over
	u.resume()
}

// unless returns f, unless the upload was stopped.
func (u *upload) unless(f failure) failure {
	if u.halt.Load() {
		return failedBackend
	}
	return f
}

// A connUpload is an upload from an HTTP/1.1 connection to another one.
type connUpload struct {
	upload
	c *conn
	x *exchange
	b *backend.Conn
}

// startUpload begins to carry what of x's body is not here yet.
func (c *conn) startUpload(x *exchange, b *backend.Conn) *upload {
	u := &connUpload{c: c, x: x, b: b}
	u.interrupt = func() {
		c.raw.SetReadDeadline(past())
		b.Close()
	}
	u.resume = c.resumeReading
	u.start(&c.s.group, u.run, func() { b.Close() })
	return &u.upload
}

// resumeReading takes back an interruption of reads that was no cut.
func (c *conn) resumeReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.cut() == 0 {
		c.raw.SetReadDeadline(time.Time{})
	}
}

func (u *connUpload) run() failure {
	in := buffer{b: getLarge()}
	defer putLarge(in.b)
	for d := &u.x.up; !d.done; {
		if d.framing == http1.Length && d.left >= spliceFrom && u.splices() {
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
	if !u.c.arm(u.x.policy.Timeouts.Response) {
		return failedClient
	}
	return failedNot
}

// copy carries what one read yields.
func (u *connUpload) copy(d *body, in *buffer) failure {
	if !u.c.await(u.x, u.answered.Load()) {
		return failedClient
	}
	most := len(in.b)
	if d.framing == http1.Length {
		most = int(min(int64(most), d.left))
	}
	n, err := u.c.rw.Read(in.b[:most])
	u.x.pace.end(u.c.p.clock.now(), n)
	in.r, in.w = 0, n
	if n == 0 && err != nil {
		return u.unless(failedClient)
	}
	u.consumed.Store(true)
	size, read, err := d.take(in.bytes())
	if err != nil {
		return failureOf(err)
	}
	u.x.replica.add(in.b[:size], d.framing == http1.Chunked)
	u.last.Store(d.done)
	if _, err := u.b.Write(in.b[:size]); err != nil {
		return failedBackend
	}
	u.b.Sent(int64(size))
	in.r = read
	return failedNot
}

// splices reports whether the body can go past our memory.
func (u *connUpload) splices() bool {
	return u.c.tcp != nil && u.b.TCP != nil && !u.x.replica.gathers() && u.brisk()
}

// brisk reports whether the client sends so fast that a part of a splice comes
// well within its time.
func (u *connUpload) brisk() bool {
	p := &u.x.pace
	return p.got >= spliceFrom && p.expect(spliceMost) < u.c.bounds.Timeouts.Stall/4
}

// splice carries a part of a large body through a pipe of the kernel's.
func (u *connUpload) splice(d *body) failure {
	if !u.c.await(u.x, u.answered.Load()) {
		return failedClient
	}
	most := min(d.left, spliceMost)
	u.last.Store(most == d.left)
	n, err := socket.Splice(u.b.TCP, u.c.tcp, most, nil)
	u.x.pace.end(u.c.p.clock.now(), int(n))
	if n > 0 {
		u.consumed.Store(true)
		u.b.Sent(n)
		d.advance(n)
	}
	var op *net.OpError
	switch {
	case err == nil && n == most:
		return failedNot
	case err == nil:
		return u.unless(failedClient) // the client's end
	case errors.As(err, &op) && op.Op == "write":
		return failedBackend
	}
	return u.unless(failedClient)
}
