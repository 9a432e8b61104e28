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
	if err := c.control(func(fd uintptr) {
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
func (c *Conn) Close() error {
	if fd := c.take(); fd >= 0 {
		// What else it could say happens to the peer, not to us.
		_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
		return nil
	}
	if !c.known.Load() {
		return net.ErrClosed
	}
	return c.file.Close()
}

// take returns the socket of a connection that the poller does not know, and
// -1 from then on.
func (c *Conn) take() (fd int) {
	if c.known.Load() {
		return -1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, c.fd = c.fd, -1
	return fd
}

// End ends the stream to the peer and closes the connection, which nobody
// else uses any more. Close alone would do, but where the poller has to forget
// it the call tells the scheduler: so the segment that says it goes out
// before, by a plain one.
func (c *Conn) End() {
	// What fails here is a connection that is gone.
	if c.known.Load() {
		_ = c.CloseWrite()
	}
	_ = c.Close()
}

// Tear makes Close reset the connection, so that the peer does not take what
// it got for all.
func (c *Conn) Tear() {
	// What fails here is a connection that is gone.
	_ = c.control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// SetDeadline bounds reads and writes, those under way too.
func (c *Conn) SetDeadline(t time.Time) error { return c.bound(t, file.SetDeadline) }

// SetReadDeadline bounds reads, those under way too.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.bound(t, file.SetReadDeadline) }

// SetWriteDeadline bounds writes, those under way too.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.bound(t, file.SetWriteDeadline) }

func (c *Conn) bound(t time.Time, set func(file, time.Time) error) error {
	if t.IsZero() && !c.known.Load() {
		return nil // none was set
	}
	if err := c.poller(); err != nil {
		return err
	}
	return set(c.file, t)
}

// SyscallConn lends the socket. Whoever transfers data over it does so
// instead of Read and Write.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	err := c.poller()
	return c.raw, err
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr is our own address; it asks the kernel.
func (c *Conn) LocalAddr() net.Addr {
	var local net.TCPAddr
	_ = c.control(func(fd uintptr) {
		switch sa, _ := unix.Getsockname(int(fd)); sa := sa.(type) {
		case *unix.SockaddrInet4:
			local.IP, local.Port = sa.Addr[:], sa.Port
		case *unix.SockaddrInet6:
			local.IP, local.Port = sa.Addr[:], sa.Port
		}
	})
	return &local
}
