package health

import (
	"context"
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
func dial(ctx context.Context, c Check) (*conn, error) {
	conn, err := open(ctx, c.Target)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", c.Target, plain(c, err))
	}
	return conn, nil
}

func open(ctx context.Context, target netip.AddrPort) (*conn, error) {
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(target.Port())})
	if a := target.Addr(); a.Is4() {
		to.(*unix.SockaddrInet4).Addr = a.As4()
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(target.Port()), Addr: a.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Begun before the poller knows the socket: it reports one that was never
	// connected as ready.
	err = unix.Connect(fd, to)
	c := &conn{File: os.NewFile(uintptr(fd), "tcp"), target: target}
	c.undo = interrupt(ctx, c)
	if err == unix.EINPROGRESS {
		err = c.answered(to)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
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
		return answer != unix.EALREADY
	})
	if err == nil {
		err = answer
	}
	return err
}

// reset has Close end the connection by RST: thousands of checks would
// otherwise leave tens of thousands of sockets behind in TIME-WAIT.
func (c *conn) reset() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	linger := unix.Linger{Onoff: 1}
	ctrl := raw.Control(func(fd uintptr) { err = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &linger) })
	if ctrl != nil {
		return ctrl
	}
	return err
}

// interrupt makes the reads and writes of conn fail when ctx ends: the
// attempt's time is over, or the monitor stops. undo is to be deferred.
func interrupt(ctx context.Context, conn interface{ SetDeadline(time.Time) error }) (undo func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}
