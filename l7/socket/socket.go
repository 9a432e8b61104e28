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
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// A Conn is a TCP connection. One goroutine may read while another one writes.
// What is not redefined here is as in package net.
type Conn struct {
	*net.TCPConn
	raw           syscall.RawConn
	reads, writes transfer
	peeks         peek
}

// A transfer is a read or a write under way. What the poller calls is kept, so
// that nothing is allocated.
type transfer struct {
	buf   []byte
	n     int // of buf that were transferred
	errno syscall.Errno
	step  func(fd uintptr) (done bool)
}

// New returns tcp as a Conn.
func New(tcp *net.TCPConn) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{TCPConn: tcp, raw: raw}
	c.reads.step = c.reads.read
	c.writes.step = c.writes.write
	c.peeks.step = c.peeks.look
	return c, nil
}

// Read reads what is there, and waits only where there is nothing.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.reads
	t.begin(p)
	err := c.raw.Read(t.step)
	n, err := t.end("read", err)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	t := &c.writes
	t.begin(p)
	return t.end("write", c.raw.Write(t.step))
}

func (t *transfer) begin(p []byte) { t.buf, t.n, t.errno = p, 0, 0 }

// end returns what became of the transfer; err is the poller's.
func (t *transfer) end(call string, err error) (int, error) {
	t.buf = nil
	if err == nil && t.errno != 0 {
		err = os.NewSyscallError(call, t.errno)
	}
	return t.n, err
}

// read reads once.
func (t *transfer) read(fd uintptr) (done bool) {
	t.n, t.errno = system(syscall.SYS_READ, fd, t.buf)
	return t.errno != syscall.EAGAIN
}

// write writes until all is written or the socket takes no more.
func (t *transfer) write(fd uintptr) (done bool) {
	for t.n < len(t.buf) {
		var n int
		if n, t.errno = system(syscall.SYS_WRITE, fd, t.buf[t.n:]); t.errno != 0 {
			return t.errno != syscall.EAGAIN
		}
		t.n += n
	}
	return true
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
