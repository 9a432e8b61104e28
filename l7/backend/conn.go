package backend

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l7/socket"
)

// A Conn is a connection to an endpoint. It belongs to one request at a time,
// which ends with Release, or to its endpoint's pool. It is a stream of an
// HTTP/2 connection where HTTP2 says so.
type Conn struct {
	net.Conn
	// TCP is the same connection where nothing lies over it, so that it can be
	// spliced, and nil elsewhere.
	TCP *socket.Conn

	sock   *socket.Conn // what is at the bottom
	wire   *wire        // what is under TLS
	stream *stream      // of HTTP/2, which has nothing of the above
	ep     *Endpoint
	// reused is whether an earlier request has used it.
	reused bool
	// unseen is whether nobody has looked whether it is fit since it was put back.
	unseen bool
	// private is whether it is of use to one request alone.
	private bool
	// since is when it was put back into the pool.
	since int64
	// sent counts the bytes written to the wire before the request at hand,
	// sending those of the request.
	sent, sending int64
}

// Endpoint is where the connection leads.
func (b *Conn) Endpoint() *Endpoint { return b.ep }

// Reused reports whether an earlier request has used the connection.
func (b *Conn) Reused() bool { return b.reused }

// Unseen reports whether nobody has looked whether the connection is still fit, so
// that the request has to go by Ask. It has a TCP then.
func (b *Conn) Unseen() bool { return b.unseen }

// Sent counts n bytes of the request at hand that were written.
func (b *Conn) Sent(n int64) { b.sending += n }

// Interrupt breaks off whatever waits for the connection, which is of no use
// afterwards.
func (b *Conn) Interrupt() {
	if b.stream != nil {
		b.stream.stop()
		return
	}
	b.SetDeadline(time.Unix(1, 0))
}

// Release ends the request at hand: fit says that the connection can carry
// another one.
func (b *Conn) Release(fit bool) {
	if b.stream != nil {
		b.stream.end(b.ep)
		b.ep.leave()
		return
	}
	if !fit || b.private {
		b.Close()
		b.ep.leave()
		return
	}
	b.reused = true
	b.sent += b.sending
	b.sending = 0
	if b.wire != nil {
		b.sent = b.wire.sent
	}
	b.ep.put(b, b.ep.pool.now())
}

// Unused gives up a connection that was not fit for the request of c, and carried
// nothing of it. Connect gives it another one then, without asking it to queue again
// or counting it twice.
func (b *Conn) Unused(c *Call) {
	b.undo()
	c.seat = b.ep
}

// undo closes b and takes back what was counted when it was taken.
func (b *Conn) undo() {
	b.Close()
	b.ep.undo()
}

// fit reports whether an idle connection may carry a request: it is open, and
// nothing has come in that no request asked for, such as the 408 that some
// servers send before they close.
func (b *Conn) fit() bool {
	return b.sock.Quiet()
}

// Delivered reports whether the endpoint may have got anything of the request,
// now that reading has ended with err before the first byte of a response. It
// errs on the side of yes.
//
// A FIN carries the number of the last byte that the peer's kernel had taken
// when it was sent, so after an orderly end the acknowledged bytes tell
// exactly. A reset does not say: a process that dies with unread bytes in its
// socket sends one as well.
func (b *Conn) Delivered(err error) bool {
	if b.sending == 0 {
		return false
	}
	if b.stream != nil {
		return !refused(err)
	}
	if !errors.Is(err, io.EOF) {
		return true
	}
	acked := int64(1 << 62)
	raw, cerr := b.sock.SyscallConn()
	if cerr == nil {
		cerr = raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				acked = int64(info.Bytes_acked)
			}
		})
	}
	// The SYN counts for one byte (RFC 9293, section 3.4).
	return cerr != nil || acked > b.sent+1
}
