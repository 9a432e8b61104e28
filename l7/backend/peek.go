package backend

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peek looks at what the kernel holds for a socket without taking it. n is 0
// where the peer has ended its stream, and err EAGAIN where the socket is open
// and silent. Neither the scheduler is told, for it returns at once, nor
// anything allocated, which unix.Recvfrom would for the sender's address.
func Peek(fd uintptr) (n int, err error) {
	var b byte
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
