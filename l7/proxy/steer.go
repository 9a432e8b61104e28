package proxy

import (
	"crypto/rand"
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

// connectionIDLen is in bytes: one for the tag, and as much chance as
// identifiers have by default.
const connectionIDLen = 9

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
	rand.Read(id[1:])
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// ConnectionIDLen returns the length of all of them.
func (c connectionIDs) ConnectionIDLen() int { return connectionIDLen }

// The parts of a packet that say where it belongs (RFC 8999, section 5; RFC
// 9000, section 17.2).
const (
	longHeader    = 0x80
	longType      = 0x30
	typeHandshake = 0x20 // of version 1
	shortID       = 1    // offset of the destination's identifier
	longID        = 6
)

// steering is the filter that a new socket puts before itself and the one that
// stood before: it returns which of the two gets a packet, 0 the old one. Alone,
// a socket gets all: the kernel does not mind a number that is too high.
func (c connectionIDs) steering() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: longHeader, SkipFalse: 4},
		// A long header: what is no part of a handshake under way begins one.
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: longType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeHandshake, SkipTrue: 5},
		bpf.LoadAbsolute{Off: longID, Size: 1},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: shortID, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c.tag), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1},
	}
}

// steer puts the filter at pc, which was bound with SO_REUSEPORT.
func (c connectionIDs) steer(pc net.PacketConn) error {
	sc, ok := pc.(syscall.Conn)
	if !ok {
		return nil // nothing that shares an address
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	program, err := bpf.Assemble(c.steering())
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}
