package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A conn is a TCP connection of a check. It is no net.TCPConn: to open one
// costs a goroutine that waits for the context, and system calls for options
// and addresses that no check has a use for.
type conn struct {
	*os.File // a socket; deadlines work as those of package net do
	target   netip.AddrPort
	undo     func() bool
}

var _ net.Conn = (*conn)(nil)

// LocalAddr is not looked up.
func (*conn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is the target.
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.target) }

// Close closes the connection.
func (c *conn) Close() error {
	c.undo()
	return c.File.Close()
}

// dial opens a connection to the check's target. When ctx ends, so does
// whatever is done with it.
func dial(ctx context.Context, c Check) (net.Conn, error) {
	conn, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", c.Target, plain(c, err))
	}
	return conn, nil
}

func open(ctx context.Context, check Check) (*conn, error) {
	addr, port := check.Target.Addr(), int(check.Target.Port())
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: port, Addr: addr.As16()})
	if addr.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if check.Kind == TCP {
		// Closed by RST: thousands of checks would otherwise leave tens of
		// thousands of sockets behind in TIME-WAIT. Where this is refused, they do.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	// Begun before the poller knows the socket: it reports one that was never
	// connected as ready.
	err = unix.Connect(fd, to)
	c := &conn{File: os.NewFile(uintptr(fd), "tcp"), target: check.Target}
	c.undo = interrupt(ctx, c)
	if errors.Is(err, unix.EINPROGRESS) {
		err = c.answered(to)
	}
	if err == nil && port >= firstUnprivileged && own(fd, check.Target) {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// firstUnprivileged is the least port that the kernel lets stand in
// net.ipv4.ip_local_port_range, unless net.ipv4.ip_unprivileged_port_start was
// lowered: from there it takes the ports of sockets that name none.
const firstUnprivileged = 1024

// own reports whether a socket is connected to itself: where nobody listens on
// this node, and the kernel gives it the very port that it asks for, its SYN
// answers itself (RFC 9293, section 3.5, simultaneous open).
func own(fd int, target netip.AddrPort) bool {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return a.Port == int(target.Port()) && netip.AddrFrom4(a.Addr) == target.Addr()
	case *unix.SockaddrInet6:
		return a.Port == int(target.Port()) && netip.AddrFrom16(a.Addr) == target.Addr()
	}
	return false
}

// answered waits for the answer to the SYN.
func (c *conn) answered(to unix.Sockaddr) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var answer error
	err = raw.Write(func(fd uintptr) bool {
		// Asked again, connect tells what became of it (connect(2), EALREADY).
		answer = unix.Connect(int(fd), to)
		return !errors.Is(answer, unix.EALREADY)
	})
	if err == nil {
		err = answer
	}
	return err
}

// interrupt makes the reads and writes of conn fail when ctx ends: the
// attempt's time is over, or the monitor stops. undo is to be deferred.
func interrupt(ctx context.Context, conn interface{ SetDeadline(time.Time) error }) (undo func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}
