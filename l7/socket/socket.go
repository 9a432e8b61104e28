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
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A Conn is a TCP connection. One goroutine may read while another one writes.
//
// The poller learns of one that was accepted when somebody has to wait for it.
// Where a client sends at once and one answer is all it wants, that is never,
// and of what a connection costs the telling and the forgetting are a tenth.
type Conn struct {
	remote        netip.AddrPort
	reads, writes transfer
	asking        asking

	known atomic.Bool // to the poller; file and raw are valid then, fd is not
	file  file
	raw   syscall.RawConn
	mu    sync.Mutex // until then
	fd    int        // -1 once it is closed
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
	c := newConn(-1, remote.AddrPort())
	return c, c.introduce(tcp)
}

func newConn(fd int, remote netip.AddrPort) *Conn {
	c := &Conn{remote: remote, fd: fd}
	c.reads.step = c.reads.take
	c.writes.step = c.writes.give
	return c
}

// introduce says that the poller knows c as f.
func (c *Conn) introduce(f file) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	c.file, c.raw, c.fd = f, raw, -1
	c.known.Store(true)
	return nil
}

// Read reads what is there, and waits only where there is nothing.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.reads
	t.begin(p)
	if err := c.end("read", t, c.read(t.step)); err != nil {
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
	err := c.end("write", t, c.write(t.step))
	return t.n, err
}

// WriteBoth writes all of p and then all of q, in one system call where that
// does.
func (c *Conn) WriteBoth(p, q []byte) (int, error) {
	t := &c.writes
	t.begin(p)
	t.more = q
	err := c.end("write", t, c.write(t.step))
	return t.n, err
}

// read takes step after step, waiting for the peer to send, until one is done.
func (c *Conn) read(step func(fd uintptr) (done bool)) error {
	if done, err := c.attempt(step); done || err != nil {
		return err
	}
	return c.raw.Read(step)
}

// write takes step after step, waiting for the peer to take, until one is done.
func (c *Conn) write(step func(fd uintptr) (done bool)) error {
	if done, err := c.attempt(step); done || err != nil {
		return err
	}
	return c.raw.Write(step)
}

// attempt takes a step of a connection that the poller does not know. If that
// is not done, it knows it.
func (c *Conn) attempt(step func(fd uintptr) (done bool)) (done bool, err error) {
	if c.known.Load() {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 && step(uintptr(c.fd)) {
		return true, nil
	}
	return false, c.meet()
}

// meet has the poller know c, if it does not. The caller holds mu.
func (c *Conn) meet() error {
	switch {
	case c.known.Load():
		return nil
	case c.fd < 0:
		return net.ErrClosed
	}
	return c.introduce(os.NewFile(uintptr(c.fd), "client"))
}

// poller has the poller know c, if it does not.
func (c *Conn) poller() error {
	if c.known.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meet()
}

// control lends the socket to f.
func (c *Conn) control(f func(fd uintptr)) error {
	if !c.known.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fd >= 0 {
			f(uintptr(c.fd))
			return nil
		}
		if !c.known.Load() {
			return net.ErrClosed
		}
	}
	return c.raw.Control(f)
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

// give writes until all is written or the socket takes no more; of a pipe, what it
// takes at once.
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
		if t.pipe != nil {
			return true
		}
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
