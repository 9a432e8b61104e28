package socket

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CloseWrite ends the stream to the peer.
func (c *Conn) CloseWrite() error { return c.shutdown(syscall.SHUT_WR) }

func (c *Conn) shutdown(how uintptr) error {
	var errno syscall.Errno
	if err := c.raw.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, how, 0)
	}); err != nil {
		return net.ErrClosed
	}
	if errno != 0 {
		return os.NewSyscallError("shutdown", errno)
	}
	return nil
}

// Close ends the connection. Waits for it return net.ErrClosed.
func (c *Conn) Close() error { return c.file.Close() }

// End ends the stream to the peer and closes the connection, which nobody
// else uses any more. Close alone would do, but its call tells the scheduler:
// so the segment that says it goes out before, by a plain one.
func (c *Conn) End() {
	// What fails here is a connection that is gone.
	_ = c.CloseWrite()
	_ = c.Close()
}

// Tear makes Close reset the connection, so that the peer does not take what
// it got for all.
func (c *Conn) Tear() {
	// What fails here is a connection that is gone.
	_ = c.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// SetDeadline bounds reads and writes, those under way too.
func (c *Conn) SetDeadline(t time.Time) error { return c.file.SetDeadline(t) }

// SetReadDeadline bounds reads, those under way too.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline bounds writes, those under way too.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// SyscallConn lends the socket. Whoever transfers data over it does so
// instead of Read and Write.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr is our own address; it asks the kernel.
func (c *Conn) LocalAddr() net.Addr {
	var local net.TCPAddr
	_ = c.raw.Control(func(fd uintptr) {
		switch sa, _ := unix.Getsockname(int(fd)); sa := sa.(type) {
		case *unix.SockaddrInet4:
			local.IP, local.Port = sa.Addr[:], sa.Port
		case *unix.SockaddrInet6:
			local.IP, local.Port = sa.Addr[:], sa.Port
		}
	})
	return &local
}
