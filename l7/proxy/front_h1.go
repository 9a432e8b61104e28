package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// attempt carries x over b: on the fast lane where b speaks HTTP/1.1, too, and
// the body of the response stays as it is.
func (c *conn) attempt(x *exchange, pl *backend.Pool, b *backend.Conn) verdict {
	if !b.HTTP2() && (x.upgrade || !x.bodily()) {
		return c.converse(c, x, pl, b)
	}
	if !c.deadline.move(0, busy) { // the lane has its own
		b.Release(false)
		return closes
	}
	f := newConnFront(c, x)
	if !b.HTTP2() && !x.up.done {
		defer x.withhold()()
	}
	l := &lane{front: f}
	l.leash.client, l.side, l.limit = c.client, l, c.limit
	return f.end(l.once(x, pl, b))
}

// withhold takes what came of the body with the head out of what is sent to an
// endpoint of HTTP/1.1: a front reads the body from its begin, and it may end
// anywhere in a chunk. It comes back for another attempt, before which nobody
// has read.
func (x *exchange) withhold() (back func()) {
	first, out, up := x.first, x.out, x.up
	x.first, x.out = nil, out[:http1.HeadEnd(out, 0)]
	x.up = newBody(&x.req.Head)
	x.up.most, x.up.chunks = up.most, up.chunks
	return func() {
		if x.first, x.out = first, out; !x.up.done && x.up.data == 0 && x.up.left == x.req.Length {
			x.up = up
		}
	}
}

// once is attempt for a lane that is made for it.
func (l *lane) once(x *exchange, pl *backend.Pool, b *backend.Conn) verdict {
	l.s.watch(&l.leash)
	defer l.s.unwatch(&l.leash)
	defer l.part()
	return l.attempt(x, pl, b)
}

// A connFront is a request that came over HTTP/1.1 and goes on in another
// version.
type connFront struct {
	c *conn
	x *exchange

	body body
	raw  []byte // of the body, read but not decoded
	buf  []byte

	out     []byte // what respond keeps back
	chunked bool
	keep    bool // the connection may go on
	aborted atomic.Bool

	// heads is held while an interim response goes out, which comes from the
	// goroutine that reads the body. Behind the response there is none.
	heads    sync.Mutex
	answered bool
}

func newConnFront(c *conn, x *exchange) *connFront {
	f := &connFront{c: c, x: x, body: newBody(&x.req.Head), raw: x.first}
	if f.raw == nil {
		f.raw = x.out[http1.HeadEnd(x.out, 0):] // see pack
	}
	return f
}

// end gives the connection what was read too much, and says what the outcome v
// means for it.
func (f *connFront) end(v verdict) verdict {
	c := f.c
	f.giveBack()
	if f.aborted.Load() {
		c.abandon()
		return closes
	}
	c.resumeReading()
	if v != served {
		return v
	}
	return c.ended(f.x, f.keep, nil)
}

// giveBack gives the connection what was read behind the body.
func (f *connFront) giveBack() {
	if f.buf == nil {
		return
	}
	if f.body.done {
		f.c.in.clear()
		f.c.in.put(f.raw)
	}
	putLarge(f.buf)
	f.buf = nil
}

func (f *connFront) protocol() string { return protocols[f.x.req.Minor] }

func (f *connFront) notify(*leash) {} // nobody reads while an endpoint thinks

func (f *connFront) head([]byte) ([]byte, error) { return nil, errEnded } // it was HTTP/1.1 before

func (f *connFront) read(p []byte) (int, error) {
	for !f.body.done {
		if len(f.raw) == 0 {
			if f.buf == nil {
				f.buf = getLarge()
				// What came with the head ended in an extension, perhaps,
				// which has been taken out.
				f.body.chunks = f.x.up.chunks
			}
			n, err := f.c.rw.Read(f.buf)
			if n == 0 {
				return 0, cutShort(err)
			}
			f.raw = f.buf[:n]
		}
		size, n, err := f.decode(p[:copy(p, f.raw)])
		f.raw = f.raw[n:]
		if err != nil || size > 0 {
			return size, err
		}
	}
	return 0, io.EOF
}

// decode moves what is data of p to its front, and returns how much that is and
// how much of p was read.
func (f *connFront) decode(p []byte) (size, n int, err error) {
	if f.body.framing == http1.Chunked {
		return f.body.unchunk(p)
	}
	return f.body.take(p)
}

// cutShort is the error of a body that does not come to its end.
func cutShort(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *connFront) trailers() []field { return parseTrailers(f.body.trailers) }

func (f *connFront) stopReading() { f.c.raw.SetReadDeadline(past()) }

func (f *connFront) resumeReading() { f.c.resumeReading() }

func (f *connFront) interim(status int, fields []field) error {
	f.heads.Lock()
	defer f.heads.Unlock()
	if f.x.req.Minor == 0 || f.answered {
		return nil
	}
	_, err := f.c.rw.Write(append(appendHead(nil, status, fields), '\r', '\n'))
	return err
}

// appendHead appends a response head but for its empty line.
func appendHead(dst []byte, status int, fields []field) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), '\r', '\n')
	for i := range fields {
		dst = appendLine(dst, fields[i].Name, fields[i].Value)
	}
	return dst
}

func (f *connFront) respond(status int, fields []field, end, whole bool) error {
	f.heads.Lock()
	f.answered = true
	f.heads.Unlock()
	x := f.x
	f.keep = x.req.KeepAlive && whole && f.c.stays()
	length := x.resp.Framing == http1.Length
	if length && !end && x.req.Minor == 1 && slices.ContainsFunc(fields, announcesTrailers) {
		// Only the chunked coding carries them.
		length = false
		fields = slices.DeleteFunc(fields, isLength)
	}
	out := appendHead(f.out[:0], status, fields)
	switch {
	case length, x.resp.Framing == http1.None:
	case end:
		out = append(out, "Content-Length: 0\r\n"...)
	case x.req.Minor == 1:
		f.chunked = true
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	default:
		f.keep = false // the body ends with the connection
	}
	out = append(out, connectionLine(x, f.keep)...)
	f.out = append(out, '\r', '\n')
	if end {
		return f.flush()
	}
	return nil
}

func announcesTrailers(f field) bool { return bytes.EqualFold(f.Name, []byte("trailer")) }
func isLength(f field) bool          { return bytes.EqualFold(f.Name, []byte("content-length")) }

func (f *connFront) write(p []byte) error {
	f.data(p)
	return f.flush()
}

// data puts p behind what is kept back.
func (f *connFront) data(p []byte) {
	switch {
	case len(p) == 0:
	case f.chunked:
		f.out = append(strconv.AppendUint(f.out, uint64(len(p)), 16), '\r', '\n')
		f.out = append(append(f.out, p...), '\r', '\n')
	default:
		f.out = append(f.out, p...)
	}
}

func (f *connFront) finish(p []byte, trailers []field) error {
	if f.data(p); f.chunked {
		f.out = append(f.out, "0\r\n"...)
		for i := range trailers {
			f.out = appendLine(f.out, trailers[i].Name, trailers[i].Value)
		}
		f.out = append(f.out, '\r', '\n')
	}
	return f.flush()
}

func (f *connFront) flush() error {
	if len(f.out) == 0 {
		return nil
	}
	_, err := f.c.rw.Write(f.out)
	f.out = f.out[:0]
	return err
}

func (f *connFront) abort() {
	f.aborted.Store(true)
	f.c.raw.SetDeadline(past())
}
