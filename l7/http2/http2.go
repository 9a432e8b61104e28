// Package http2 is the server's side of an HTTP/2 connection (RFC 9113), made
// for a proxy: fields are bytes, a stream is read and written by the goroutine
// that serves it, frames of several streams leave in one write, and a request
// allocates nothing once the connection is warm.
//
// One goroutine reads the connection (Conn.Serve). Streams are served by
// goroutines of their own, which wait for the next stream when they are done.
// Nobody only writes: whoever has something to say appends it to what is
// pending, and one of those who did sends it.
//
// The package reads no clock and arms no timers. The owner of many connections
// calls Conn.Tick for each of them now and then.
package http2

import "time"

// Preface is what a client sends first (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Settings bound a connection. Zero values mean the defaults.
type Settings struct {
	// MaxConcurrentStreams is how many requests a client may have open at
	// once. Default 128, as nginx.
	MaxConcurrentStreams uint32
	// MaxHeaderList is the size of a request's fields in bytes, each with an
	// overhead of 32 (RFC 9113, section 6.5.2). A larger one is answered with
	// 431. Default 64 KiB.
	MaxHeaderList int
	// MaxFields is the number of a request's fields, cookie crumbs counting
	// as one; more are answered with 431. Default 128.
	MaxFields int
	// MaxFrame is the longest frame payload taken, 16384 (the default) to
	// 16777215 bytes.
	MaxFrame int
	// InitialWindow is how many bytes of a request's body are held for a
	// stream that does not read, at least 65535. Default 256 KiB.
	InitialWindow int32
	// ConnWindow is the same for all streams of a connection together.
	// Default 1 MiB.
	ConnWindow int32
	// Connect announces extended CONNECT (RFC 8441), which websockets use.
	Connect bool

	// Now is the time in nanoseconds since some moment. A coarse clock will
	// do: it is as fine as the times below. Required.
	Now func() int64
	// Idle is how long a connection without streams lives. Default 3 minutes.
	Idle time.Duration
	// Head is the time for a header block, and for the preface. Default 10 s.
	Head time.Duration
	// Stall is how long the client may take for the next byte of a body that
	// is waited for, for the next byte of window that a response waits for,
	// and for taking what was written. Default 30 s.
	Stall time.Duration
	// Ping is how long a connection with streams may be silent before the
	// client is asked whether it is there; it has the same time to answer.
	// Default 30 s.
	Ping time.Duration
}

// The defaults, and the bounds of the protocol.
const (
	minWindow  = 1<<16 - 1 // what a client may use before it knows ours
	maxWindow  = 1<<31 - 1
	minFrame   = 1 << 14
	maxFrame   = 1<<24 - 1
	tableSize  = 4096 // of both HPACK tables: the protocol's default
	lastStream = 1<<31 - 1
)

func (s Settings) normal() Settings {
	s.MaxConcurrentStreams = or(s.MaxConcurrentStreams, 128)
	s.MaxHeaderList = or(s.MaxHeaderList, 64<<10)
	s.MaxFields = or(s.MaxFields, 128)
	s.MaxFrame = min(max(s.MaxFrame, minFrame), maxFrame)
	s.InitialWindow = max(or(s.InitialWindow, 256<<10), minWindow)
	s.ConnWindow = max(or(s.ConnWindow, 1<<20), minWindow)
	s.Idle = or(s.Idle, 3*time.Minute)
	s.Head = or(s.Head, 10*time.Second)
	s.Stall = or(s.Stall, 30*time.Second)
	s.Ping = or(s.Ping, 30*time.Second)
	return s
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
