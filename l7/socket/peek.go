package socket

import (
	"syscall"
	"unsafe"
)

// Quiet reports whether the peer has neither sent anything that was not read
// nor ended its stream.
func (c *Conn) Quiet() bool {
	return c.raw.Read(c.peeks.step) == nil && c.peeks.errno == syscall.EAGAIN
}

// Pending reports whether there is something to read.
func (c *Conn) Pending() bool {
	var p peek
	err := c.raw.Control(func(fd uintptr) { p.look(fd) })
	return err == nil && p.errno == 0 && p.n > 0
}

// A peek looks at what the kernel holds for a socket without taking it: n is 0
// where the peer has ended its stream, errno EAGAIN where the socket is open
// and silent.
type peek struct {
	n     int
	errno syscall.Errno
	step  func(fd uintptr) (done bool)
}

func (p *peek) look(fd uintptr) (done bool) {
	// Not syscall.Recvfrom, which allocates the sender's address.
	var b byte
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	p.n, p.errno = int(n), errno
	return true
}
