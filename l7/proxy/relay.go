package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/socket"
)

// Bodies of at least spliceFrom bytes go from socket to socket without passing
// through our memory; below that, setting the pipe up costs more than copying.
// Those of requests go in parts of spliceMost bytes, each of which is measured.
const (
	spliceFrom = 64 << 10
	spliceMost = 256 << 10
)

// relay sends the response whose head is at the start of x.in to the client,
// and gives b up or back.
func (c *conn) relay(x *exchange, b *backend.Conn, up *upload) verdict {
	r := &x.resp
	if r.Status == 101 {
		return c.tunnel(x, b)
	}
	head := x.in.r
	x.in.r += r.Size
	x.down = newBody(&r.Head)
	plain := r.Framing == http1.Chunked && x.req.Minor == 0
	n, err := x.takeDown(plain)
	if err != nil {
		up.stop()
		c.release(b, false)
		return broken
	}
	uploaded := up.finishes()
	up.markAnswered()
	keep := x.req.KeepAlive && (uploaded || up.held) && r.Framing != http1.Close && !plain && c.stays()
	if plain {
		r.Discard(r.Field(http1.TransferEncoding))
	}
	line := connectionLine(x, keep)
	if cookie := b.SetCookie(&x.call, c.secure); cookie != "" {
		line += "Set-Cookie: " + cookie + "\r\n"
	}
	line += x.altSvc
	if !x.dated(x.in.b[head : head+r.Size]) {
		line += c.p.date.line(time.Now())
	}
	var out []byte
	if x.watched() {
		w := x.present(x.in.b[head : head+r.Size])
		if w.Replaced() != nil {
			return c.replace(x, b, up, w)
		}
		out = append(x.rewriteHead(w, x.in.b[head:head+r.Size], line), x.in.b[head+r.Size:head+r.Size+n]...)
		x.text = out
	} else {
		out = x.in.b[x.editHead(head, line) : head+r.Size+n]
	}
	c.responded(x, r.Status)
	x.seesLines(out[:len(out)-n])
	whole := x.down.done
	if whole {
		x.markEnd()
	}
	if whole && uploaded {
		// Not after the write: a slow client need not hold it.
		c.release(b, r.KeepAlive && x.in.len() == 0)
	}
	if c.arm(c.bounds.Timeouts.Stall) {
		_, err = c.rw.Write(out)
	} else {
		err = errEnded
	}
	if whole && uploaded {
		return c.ended(x, keep && err == nil, err)
	}
	if err == nil && !whole {
		err = c.stream(x, b, plain)
		x.markEnd()
	}
	complete := up.finished()
	up.stop()
	c.release(b, err == nil && complete && x.down.done && r.KeepAlive && x.in.len() == 0)
	return c.ended(x, keep && err == nil, err)
}

// replace sends what w was replaced by, and throws the endpoint's response away.
func (c *conn) replace(x *exchange, b *backend.Conn, up *upload, w *middleware.Response) verdict {
	x.isOurs(w.Replaced())
	up.stop()
	c.release(b, up.finished() && x.down.done && x.resp.KeepAlive && x.in.len() == 0)
	if c.deliver(x, w, finish(w, nil), w.Replaced().Close) {
		return served
	}
	return closes
}

// rewriteHead writes the head of w, which came with head, with line.
func (x *exchange) rewriteHead(w *middleware.Response, head []byte, line string) []byte {
	out := x.text[:0]
	if w.Status == x.resp.Status {
		out = append(out, head[:x.resp.FieldsStart]...)
		out[7] = '1' // a proxy speaks its own version
	} else {
		out = appendHead(out, w.Status, nil)
	}
	for _, f := range w.Header {
		if !middleware.Reserved(f.Name) && isSound(f) {
			out = appendText(out, f.Name, f.Value)
		}
	}
	for _, l := range x.pass.own {
		out = append(append(out, l...), '\r', '\n')
	}
	return append(append(out, line...), '\r', '\n')
}

// takeDown takes what of the response's body is in x.in; plain removes the
// chunked coding. It returns how many of the next bytes are to be sent.
func (x *exchange) takeDown(plain bool) (size int, err error) {
	var n int
	if plain {
		size, n, err = x.down.unchunk(x.in.bytes())
	} else {
		size, n, err = x.down.take(x.in.bytes())
		if x.down.framing == http1.Close {
			x.down.data += int64(size)
		}
	}
	x.in.r += n
	return size, err
}

// stream relays the rest of a response's body as it comes.
func (c *conn) stream(x *exchange, b *backend.Conn, plain bool) error {
	for !x.down.done {
		if x.down.framing == http1.Length && x.down.left >= spliceFrom && c.tcp != nil && b.TCP != nil {
			if err := c.spliceDown(x, b); err != nil {
				return err
			}
			continue
		}
		if !c.arm(x.policy.Timeouts.Response) {
			return errEnded
		}
		// What was held is sent: the buffer is empty, or holds what the
		// endpoint sent too much.
		x.in.clear()
		err := x.in.fill(b.Conn, len(x.in.b))
		if errors.Is(err, io.EOF) && x.down.framing == http1.Close {
			x.down.done = true
			return nil
		}
		if err != nil {
			return err
		}
		from := x.in.r
		size, err := x.takeDown(plain)
		if err != nil {
			return err
		}
		if !c.arm(c.bounds.Timeouts.Stall) {
			return errEnded
		}
		if _, err := c.rw.Write(x.in.b[from : from+size]); err != nil {
			return err
		}
	}
	return nil
}

// spliceDown moves the rest of a large body. The endpoint has its time for each
// part that it sends, and the client its own for each that it takes, however small.
func (c *conn) spliceDown(x *exchange, b *backend.Conn) error {
	most := x.down.left
	n, err := socket.Splice(c.tcp, b.TCP, most, func(taking bool) error {
		wait := x.policy.Timeouts.Response
		if taking {
			wait = c.bounds.Timeouts.Stall
		}
		if !c.arm(wait) {
			return errEnded
		}
		return nil
	})
	x.down.advance(n)
	if err == nil && n < most {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ended says what a response that went out, or broke off with err, means for
// the client's connection.
func (c *conn) ended(x *exchange, keep bool, err error) verdict {
	switch {
	case err == nil && keep:
		return served
	case err == nil:
		if !x.up.done || c.in.len() > 0 {
			c.linger()
		}
	default:
		x.torn = true
		c.abandon()
	}
	return closes
}

// abandon ends a connection in the middle of a response. A body that ends with
// the connection would look whole to the client after an orderly end, so the
// connection is reset, or left without TLS's farewell.
func (c *conn) abandon() {
	c.torn = true
	if c.tcp != nil {
		c.tcp.Tear()
	}
}
