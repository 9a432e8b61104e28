package socket

import (
	"syscall"
	"unsafe"
)

// Quiet reports whether the connection is open, the peer has not ended its
// stream, and nothing came that was not read.
func (c *Conn) Quiet() bool {
	t := &c.reads
	t.begin(nil)
	if t.look == nil {
		t.look = func(fd uintptr) bool {
			_, t.errno = peek(fd)
			return true
		}
	}
	return c.read(t.look) == nil && t.errno == syscall.EAGAIN
}

// Pending reports whether there is something to read, deadlines or not.
func (c *Conn) Pending() bool {
	n := 0
	err := c.control(func(fd uintptr) { n, _ = peek(fd) })
	return err == nil && n > 0
}

// peek looks at what the kernel holds for a socket without taking it: n is 0
// where the peer has ended its stream, errno EAGAIN where the socket is open
// and silent.
func peek(fd uintptr) (n int, errno syscall.Errno) {
	// Not syscall.Recvfrom, which allocates the sender's address.
	var b byte
	got, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}
