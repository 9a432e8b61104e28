package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A socket is a netlink socket that is read and written by plain system calls.
// To read a thousand services takes a question and an answer for each, every
// few seconds: netlink.Conn asks for the size of each answer first, and hands
// every call through the runtime's poller, which costs more than the calls.
type socket struct {
	fd  int
	seq uint32
	buf []byte // of what is received; a dump's parts are 32 kB at most
	// rest is what of it has not been looked at.
	rest []byte
}

// header is the size of struct nlmsghdr.
const header = 16

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &socket{fd: fd, buf: make([]byte, 64<<10)}, nil
}

// send numbers the messages and sends them by one system call. What an earlier
// exchange has left is forgotten.
func (s *socket) send(ms ...netlink.Message) error {
	s.rest = nil
	var all []byte
	for _, m := range ms {
		s.seq++
		m.Header.Sequence = s.seq
		m.Header.Length = uint32(header + len(m.Data))
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	for {
		err := unix.Sendto(s.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if !errors.Is(err, unix.EINTR) {
			return timedOut(err)
		}
	}
}

// receive returns the next message, and for an acknowledgement the error that
// it holds. The message is good until the next call.
func (s *socket) receive() (m netlink.Message, err error) {
	if len(s.rest) == 0 {
		n, err := s.fill()
		if err != nil {
			return m, err
		}
		s.rest = s.buf[:n]
	}
	if len(s.rest) < header {
		return m, io.ErrUnexpectedEOF
	}
	size := int(binary.NativeEndian.Uint32(s.rest))
	if size < header || size > len(s.rest) {
		return m, io.ErrUnexpectedEOF
	}
	m.Header = netlink.Header{
		Type:     netlink.HeaderType(binary.NativeEndian.Uint16(s.rest[4:])),
		Flags:    netlink.HeaderFlags(binary.NativeEndian.Uint16(s.rest[6:])),
		Sequence: binary.NativeEndian.Uint32(s.rest[8:]),
	}
	m.Data = s.rest[header:size]
	s.rest = s.rest[min((size+3)&^3, len(s.rest)):]
	// Both begin with an error number, which is 0 or negative.
	if m.Header.Type == netlink.Error || m.Header.Type == netlink.Done {
		if len(m.Data) < 4 {
			return m, io.ErrUnexpectedEOF
		}
		if no := int32(binary.NativeEndian.Uint32(m.Data)); no < 0 {
			return m, unix.Errno(-no)
		}
	}
	return m, nil
}

func (s *socket) fill() (int, error) {
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, timedOut(err)
		}
	}
}

// timedOut turns what a socket says after its time is up into what Go says.
func timedOut(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// dump sends a question and returns the data of all answers.
func (s *socket) dump(question netlink.Message) (answers [][]byte, err error) {
	if err := s.send(question); err != nil {
		return nil, err
	}
	for {
		m, err := s.receive()
		switch {
		case err != nil:
			return nil, err
		case m.Header.Sequence != s.seq:
			return nil, fmt.Errorf("answer %d to question %d", m.Header.Sequence, s.seq)
		case m.Header.Type == netlink.Done, m.Header.Type == netlink.Error:
			return answers, nil
		}
		answers = append(answers, slices.Clone(m.Data))
	}
}

func (s *socket) close() error { return unix.Close(s.fd) }
