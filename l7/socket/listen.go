package socket

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Listener accepts connections at one system call each.
type Listener struct {
	file *os.File
	addr net.Addr
	raw  syscall.RawConn

	from  syscall.RawSockaddrAny
	fd    uintptr
	errno syscall.Errno
	step  func(fd uintptr) (done bool)
}

// options are what connections inherit from their listener: no delay of small
// segments, and probes that find a silent peer gone after two and a half
// minutes. They are package net's, which sets them on each connection.
//
// The last one has the kernel keep a connection to itself until its client has
// sent something or ended it. One that is silent comes when the kernel has
// asked it again, after a second (tcp(7)); what it sends later, even later, is
// served as ever. All protocols that are spoken here begin with the client.
// Where a connection is made for each request that is a sixth of its cost: the
// request is there, nobody is woken to wait for it, and the poller never hears
// of the socket.
var options = [...]struct{ level, name, value int }{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
	{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1}, // s
}

// Listen returns l as a Listener, and closes l itself: package net's lends no
// socket to accept from.
func Listen(l *net.TCPListener) (*Listener, error) {
	f, err := l.File() // a copy
	_ = l.Close()
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			if serr = unix.SetsockoptInt(int(fd), o.level, o.name, o.value); serr != nil {
				return
			}
		}
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("set options of %s: %w", l.Addr(), err)
	}
	ln := &Listener{file: f, addr: l.Addr(), raw: raw}
	ln.step = ln.accept
	return ln, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close ends Accept.
func (l *Listener) Close() error { return l.file.Close() }

// Accept waits for a connection, which is a *Conn. It must not run twice at
// once.
func (l *Listener) Accept() (net.Conn, error) {
	if err := l.raw.Read(l.step); err != nil {
		return nil, net.ErrClosed
	}
	if l.errno != 0 {
		return nil, os.NewSyscallError("accept4", l.errno)
	}
	return newConn(int(l.fd), l.peer()), nil
}

func (l *Listener) accept(fd uintptr) (done bool) {
	for {
		size := uint32(unsafe.Sizeof(l.from))
		l.fd, _, l.errno = syscall.RawSyscall6(syscall.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&l.from)),
			uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		switch l.errno {
		case syscall.EINTR, syscall.ECONNABORTED: // gone before it was accepted
		default:
			return l.errno != syscall.EAGAIN
		}
	}
}

// peer reads the address that accept left. Zones are not told apart.
func (l *Listener) peer() netip.AddrPort {
	switch l.from.Addr.Family {
	case syscall.AF_INET:
		sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&l.from))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port(&sa.Port))
	case syscall.AF_INET6:
		sa := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&l.from))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), port(&sa.Port))
	}
	return netip.AddrPort{}
}

// port reads a port, which is in network order.
func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}
