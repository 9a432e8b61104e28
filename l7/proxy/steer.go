package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A QUIC connection lives as long as its socket reads its packets. When an
// entrypoint is replaced, by a reload or by the next process, both sockets are
// bound to one address for a while: connections of the old one finish there,
// new ones begin at the new one. The kernel has to tell their packets apart.
// The connection identifiers that we hand out begin with a byte that names the
// socket, and a filter at the sockets looks at it: of the classic kind, which
// needs no privilege.
//
// The filter knows two sockets by their order. A third one before the first has
// gone gets nothing until then, and clients do without HTTP/3 that long.

// connectionIDs makes the connection identifiers of one socket.
type connectionIDs struct{ tag byte }

// An identifier is the tag, the mark, and as much chance as identifiers have by
// default. The mark tells ours from those that clients make up to begin with,
// of which one in 65536 has it, too.
const (
	connectionIDLen  = 11 // bytes
	connectionIDMark = 0x9e37
)

// newConnectionIDs returns the identifiers of a new socket. Two in a row have
// the same tag once in 256 times; connections of the first then break off when
// the second begins.
func newConnectionIDs() connectionIDs {
	var tag [1]byte
	rand.Read(tag[:])
	return connectionIDs{tag[0]}
}

// GenerateConnectionID returns an identifier.
func (c connectionIDs) GenerateConnectionID() (quic.ConnectionID, error) {
	id := [connectionIDLen]byte{c.tag}
	binary.BigEndian.PutUint16(id[1:], connectionIDMark)
	rand.Read(id[3:])
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// ConnectionIDLen returns the length of all of them.
func (c connectionIDs) ConnectionIDLen() int { return connectionIDLen }

// Where a packet says where it belongs (RFC 8999, section 5).
const (
	longHeader = 0x80
	shortID    = 1 // offset of the destination's identifier
	longID     = 6
)

// Which of two sockets gets a packet. Alone, a socket gets all: the kernel does
// not mind a number that is too high.
const (
	oldSocket = 0
	newSocket = 1
)

// steering is the filter that a new socket puts before itself and the one that
// stood before: it returns which of the two gets a packet. begins is who gets
// those that begin a connection.
func (c connectionIDs) steering(begins uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: longHeader, SkipFalse: 4},
		// A long header: what is no part of a handshake under way begins one.
		bpf.LoadAbsolute{Off: longID + 1, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: connectionIDMark, SkipTrue: 5},
		bpf.LoadAbsolute{Off: longID, Size: 1},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: shortID, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c.tag), SkipTrue: 2},
		bpf.RetConstant{Val: oldSocket},
		bpf.RetConstant{Val: begins},
		bpf.RetConstant{Val: newSocket},
	}
}

// steer puts the filter at pc, which was bound with SO_REUSEPORT.
func (c connectionIDs) steer(pc net.PacketConn, begins uint32) error {
	err := control(pc, func(fd int) error { return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, c.steering(begins)) })
	if err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}

// ControlHTTP3 is the Control of a net.ListenConfig for sockets that ServeHTTP3
// serves: they can be bound beside others, and hear nothing before. Between the
// two, a filter that does not know of them sends them what is another's, for
// which they would say that its connection is no more.
func ControlHTTP3(_, _ string, raw syscall.RawConn) error {
	var serr error
	err := raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		if serr == nil {
			serr = attach(int(fd), unix.SO_ATTACH_FILTER, []bpf.Instruction{bpf.RetConstant{Val: 0}})
		}
	})
	return errors.Join(err, serr)
}

// listen lets pc hear.
func listen(pc net.PacketConn) {
	_ = control(pc, func(fd int) error { // or it could before
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
}

// control calls do with the descriptor of pc, if that is a socket.
func control(pc net.PacketConn, do func(fd int) error) error {
	sc, ok := pc.(syscall.Conn)
	if !ok {
		return nil // nothing that shares an address
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = do(int(fd)) })
	return errors.Join(err, serr)
}

// attach puts a program at a socket.
func attach(fd, option int, instructions []bpf.Instruction) error {
	program, err := bpf.Assemble(instructions)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}
