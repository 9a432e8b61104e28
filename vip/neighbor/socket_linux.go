package neighbor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sender sends frames by any interface and receives nothing.
type Sender struct{ fd int }

// NewSender opens the socket.
func NewSender() (*Sender, error) {
	fd, err := open()
	if err != nil {
		return nil, err
	}
	return &Sender{fd}, nil
}

// Send hands a frame to the interface with the index. It does not wait: where
// the device's queue is full it returns unix.ENOBUFS or unix.EAGAIN.
func (s *Sender) Send(index int, frame []byte) error {
	return unix.Sendto(s.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6})
}

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Listener hears what others claim on one interface.
type Listener struct {
	file *os.File
	buf  [1514]byte
}

// Listen opens a socket for ARP, or IPv6 where v6 is set, on the interface
// with the index, for claims of the addresses. It asks for its protocol by
// name, not for all: so it sees nothing that this host sends, and on an
// interface that carries VLANs nothing of theirs.
func Listen(index int, v6 bool, addrs []netip.Addr) (*Listener, error) {
	protocol := uint16(etherTypeARP)
	if v6 {
		protocol = etherTypeIPv6
	}
	// It is given its protocol by the bind, when it has its filter: before,
	// it would hear everything.
	fd, err := open()
	if err != nil {
		return nil, err
	}
	l := &Listener{file: os.NewFile(uintptr(fd), "packet socket")}
	err = l.Narrow(v6, addrs)
	if err == nil {
		if err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: index}); err != nil {
			err = fmt.Errorf("bind packet socket: %w", err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Narrow replaces the addresses to listen for.
func (l *Listener) Narrow(v6 bool, addrs []netip.Addr) error {
	raws, err := bpf.Assemble(Filter(v6, addrs))
	if err != nil {
		return fmt.Errorf("assemble packet filter: %w", err)
	}
	program := make([]unix.SockFilter, len(raws))
	for i, r := range raws {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	ctl := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
			Len: uint16(len(program)), Filter: &program[0],
		})
	})
	if err := errors.Join(ctl, err); err != nil {
		return fmt.Errorf("attach packet filter: %w", err)
	}
	return nil
}

// Receive waits for the next claim. It ends with os.ErrDeadlineExceeded after
// Interrupt; other errors pass by themselves when the interface comes up again.
func (l *Listener) Receive() (Claim, error) {
	for {
		n, err := l.file.Read(l.buf[:])
		if err != nil {
			return Claim{}, err
		}
		if c, ok := Parse(l.buf[:n]); ok {
			return c, nil
		}
	}
}

// Interrupt ends a Receive in progress and all later ones.
func (l *Listener) Interrupt() error { return l.file.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the socket.
func (l *Listener) Close() error { return l.file.Close() }

// open opens a packet socket of no protocol, which receives nothing.
func open() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return -1, fmt.Errorf("packet socket: %w: the process needs CAP_NET_RAW", err)
	}
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	return fd, nil
}
