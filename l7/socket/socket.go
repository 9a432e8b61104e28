// Package socket reads and writes TCP connections by plain system calls.
//
// Package net tells the scheduler before each system call and after it, for it
// may block. Ours do not: the sockets are non-blocking, and who has to wait
// parks in the poller. But under load the kernel does a good deal of work
// within one call, up to waking the peer, and the runtime's monitor, which
// looks every 20 µs for calls that take long, finds one each time, gives the
// processor to another thread, and never comes to rest. That is a tenth of the
// cost of a small request.
package socket

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A Conn is a TCP connection. One goroutine may read while another one writes.
type Conn struct {
	file   file
	raw    syscall.RawConn
	remote netip.AddrPort

	reads, writes transfer
}

// A file is what the poller knows of a socket: a *net.TCPConn, or an *os.File.
type file interface {
	io.Closer
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	SyscallConn() (syscall.RawConn, error)
}

var (
	_ net.Conn     = (*Conn)(nil)
	_ syscall.Conn = (*Conn)(nil)
)

// New returns tcp as a Conn, which is used in its place from now on.
func New(tcp *net.TCPConn) (*Conn, error) {
	remote, _ := tcp.RemoteAddr().(*net.TCPAddr)
	return newConn(tcp, remote.AddrPort())
}

func newConn(f file, remote netip.AddrPort) (*Conn, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{file: f, raw: raw, remote: remote}
	c.reads.step = c.reads.take
	c.writes.step = c.writes.give
	return c, nil
}

// Read reads what is there, and waits only where there is nothing.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.reads
	t.begin(p)
	if err := c.end("read", t, c.raw.Read(t.step)); err != nil {
		return 0, err
	}
	if t.n == 0 {
		return 0, io.EOF
	}
	return t.n, nil
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	t := &c.writes
	t.begin(p)
	err := c.end("write", t, c.raw.Write(t.step))
	return t.n, err
}

// WriteBoth writes all of p and then all of q, in one system call where that
// does.
func (c *Conn) WriteBoth(p, q []byte) (int, error) {
	t := &c.writes
	t.begin(p)
	t.more = q
	err := c.end("write", t, c.raw.Write(t.step))
	return t.n, err
}

// end returns the error of a transfer; err is the poller's.
func (c *Conn) end(op string, t *transfer, err error) error {
	t.buf, t.more, t.pipe, t.most = nil, nil, nil, 0
	switch {
	case err == nil && t.errno == 0:
		return nil
	case err == nil:
		err = os.NewSyscallError(op, t.errno)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = os.ErrDeadlineExceeded
	default:
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.RemoteAddr(), Err: err}
}

// A transfer is a read or a write under way. What the poller calls is kept, so
// that nothing is allocated.
type transfer struct {
	buf   []byte
	more  []byte // to write behind buf
	pipe  *pipe  // in place of buf
	most  int    // through the pipe
	n     int    // bytes that were transferred
	errno syscall.Errno
	step  func(fd uintptr) (done bool)
	look  func(fd uintptr) (done bool) // see Quiet
}

func (t *transfer) begin(buf []byte) { t.buf, t.n, t.errno = buf, 0, 0 }

// beginPipe begins one with most bytes through a pipe.
func (t *transfer) beginPipe(p *pipe, most int) {
	t.begin(nil)
	t.pipe, t.most = p, most
}

// take reads once.
func (t *transfer) take(fd uintptr) (done bool) {
	if t.pipe != nil {
		t.n, t.errno = t.pipe.fill(fd, t.most)
	} else {
		t.n, t.errno = system(syscall.SYS_READ, fd, t.buf)
	}
	return t.errno != syscall.EAGAIN
}

// give writes until all is written or the socket takes no more.
func (t *transfer) give(fd uintptr) (done bool) {
	for t.n < len(t.buf)+len(t.more)+t.most {
		var n int
		switch {
		case t.pipe != nil:
			n, t.errno = t.pipe.drain(fd, t.most-t.n)
		case t.n >= len(t.buf):
			n, t.errno = system(syscall.SYS_WRITE, fd, t.more[t.n-len(t.buf):])
		case len(t.more) > 0:
			n, t.errno = both(fd, t.buf[t.n:], t.more)
		default:
			n, t.errno = system(syscall.SYS_WRITE, fd, t.buf[t.n:])
		}
		if t.errno != 0 {
			return t.errno != syscall.EAGAIN
		}
		t.n += n
	}
	return true
}

// both writes p and q.
func both(fd uintptr, p, q []byte) (int, syscall.Errno) {
	v := [2]syscall.Iovec{{Base: &p[0], Len: uint64(len(p))}, {Base: &q[0], Len: uint64(len(q))}}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v)), uintptr(len(v)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// system reads or writes p.
func system(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
