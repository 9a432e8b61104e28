package http2

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is one client connection.
type Conn struct {
	nc    net.Conn
	set   Settings
	serve func(*Stream)

	// The reader's own.
	in    input
	dec   decoder
	block block

	partial atomic.Int64 // since when the reader waits for the rest of a header block, a frame or the preface; 0: it does not
	heard   atomic.Int64 // when something was last read
	writing atomic.Int64 // since when a write is under way; 0: none is

	mu      sync.Mutex
	streams map[uint32]*Stream
	max     uint32 // the highest stream the client has opened
	open    int    // streams that the client may count as open
	running int    // streams that are being served
	resets  recent // streams that we reset

	peer     peerSettings
	sendable int64 // window of the connection for what we send
	window   int64 // window for what we receive
	consumed int64 // of it, to be given back
	blocked  queue // streams that wait for the connection's window
	waiting  int   // streams that wait for the client

	enc     encoder
	out     output
	odd     budget
	aborted budget

	leaving  leaving
	warned   int64 // when leaving became that
	asked    int64 // when Shutdown was called on one without a request, 0 for not
	since    int64 // since when running is 0
	pinged   int64 // when a PING went out that is not answered; 0: none did
	err      error // why the connection is over
	finished bool  // nothing may be started any more

	idle    int          // goroutines that wait for work
	work    chan *Stream // nil ends a goroutine
	workers sync.WaitGroup
}

// peerSettings are what the client's SETTINGS said.
type peerSettings struct {
	window   int64 // of a new stream
	maxFrame int
	known    bool // the first SETTINGS have come
}

// A leaving says how far the end of a connection is.
type leaving uint8

const (
	staying leaving = iota
	warned          // GOAWAY without a limit is out (RFC 9113, section 6.8)
	left            // GOAWAY with the last stream is out
)

// New returns a server's side of HTTP/2 on nc. For each request serve is
// called, in a goroutine of its own: it must not use the stream once it has
// returned, nor panic. A response that it has not ended is reset.
func New(nc net.Conn, s Settings, serve func(*Stream)) *Conn {
	s = s.normal()
	now := s.Now()
	c := &Conn{
		nc: nc, set: s, serve: serve,
		dec:      newDecoder(),
		enc:      newEncoder(),
		streams:  make(map[uint32]*Stream),
		peer:     peerSettings{window: minWindow, maxFrame: minFrame},
		sendable: minWindow,
		window:   int64(s.ConnWindow),
		odd:      newBudget(1000, 10*time.Millisecond, now),
		aborted:  newBudget(int64(max(500, 4*s.MaxConcurrentStreams)), 10*time.Millisecond, now),
		since:    now,
		work:     make(chan *Stream, min(maxIdle, s.MaxConcurrentStreams)),
	}
	c.out.room.L = &c.mu
	c.heard.Store(now)
	c.greet()
	return c
}

// maxIdle is how many goroutines wait for a connection's next streams.
const maxIdle = 64

// Unread hands c what has been read from the client already, the preface or
// the begin of it first. It must be called before Serve.
func (c *Conn) Unread(b []byte) { c.in.put(b) }

// Serve answers the client's requests until one side has enough, and returns
// when all calls of serve have. When ctx ends, streams and connection are cut
// off. The error is nil after an orderly end, a *ConnError after a fault of the
// client's, and otherwise that of the connection. The connection is the
// caller's to close: after the first two the client may still be sending, and
// has something to read.
func (c *Conn) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.Abort)
	defer stop()
	defer c.in.free()
	err := c.read()
	var fault *ConnError
	errors.As(err, &fault)
	c.end(err, fault)
	c.workers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.free()
	if errors.Is(c.err, errOver) {
		return nil
	}
	return c.err
}

// greet queues our SETTINGS, before which nothing may be sent.
func (c *Conn) greet() {
	s := &c.set
	list := []setting{
		{settingMaxConcurrentStreams, s.MaxConcurrentStreams},
		{settingInitialWindowSize, uint32(s.InitialWindow)},
		{settingMaxFrameSize, uint32(s.MaxFrame)},
		{settingMaxHeaderListSize, uint32(s.MaxHeaderList)},
		{settingNoPriorities, 1},
	}
	if s.Connect {
		list = append(list, setting{settingEnableConnect, 1})
	}
	c.out.push(appendSettings(c.out.take(), list...))
	if more := s.ConnWindow - minWindow; more > 0 {
		c.out.push(appendWindowUpdate(c.out.take(), 0, uint32(more)))
	}
}

// now is the time, never 0.
func (c *Conn) now() int64 { return c.set.Now() | 1 }

// dispatch has s served. The caller holds c.mu.
func (c *Conn) dispatch(s *Stream) {
	c.running++
	if c.idle > 0 {
		c.idle--
		c.work <- s // has room: there are no more than who wait
		return
	}
	c.workers.Go(func() { c.worker(s) })
}

// worker serves s and what else comes, until there is nothing to do.
func (c *Conn) worker(s *Stream) {
	for s != nil {
		c.serve(s)
		if !c.done(s) {
			return
		}
		s = <-c.work
	}
}

// done takes a stream back that has been served, and reports whether the
// goroutine may wait for another.
func (c *Conn) done(s *Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.conclude()
	c.running--
	putStream(s)
	if c.running == 0 {
		c.since = c.now()
	}
	if c.err == nil {
		c.flush()
	}
	c.leave()
	if c.finished || c.idle == cap(c.work) {
		return false
	}
	c.idle++
	return true
}
