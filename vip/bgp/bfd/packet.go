package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is a session's state; the values are the wire's (RFC 5880, section 4.1).
type State uint8

// The states.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

func (s State) String() string {
	return [...]string{"admindown", "down", "init", "up"}[s&3]
}

// Diagnostic says why a session left Up (RFC 5880, section 4.1).
type Diagnostic uint8

// The diagnostics that are given here; others are heard.
const (
	NoDiagnostic  Diagnostic = 0
	Expired       Diagnostic = 1
	NeighborDown  Diagnostic = 3
	DiagAdminDown Diagnostic = 7
)

func (d Diagnostic) String() string {
	switch d {
	case NoDiagnostic:
		return ""
	case Expired:
		return "nothing heard from the neighbor"
	case NeighborDown:
		return "the neighbor hears nothing, or ended the session"
	case DiagAdminDown:
		return "administratively down"
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// size is a packet's without authentication.
const size = 24

// Packet is a BFD control packet (RFC 5880, section 4.1). The intervals are of
// whole microseconds.
type Packet struct {
	Diagnostic  Diagnostic
	State       State
	Poll, Final bool
	Multiplier  uint8
	My, Your    uint32        // discriminators
	MinTx       time.Duration // desired between the sender's packets
	MinRx       time.Duration // required between those it takes; 0: it wants none
}

const (
	version   = 1
	flagPoll  = 1 << 5
	flagFinal = 1 << 4
	flagAuth  = 1 << 2
	flagMulti = 1 << 0
)

// Append appends the packet to b.
func (p Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	if p.Poll {
		flags |= flagPoll
	}
	if p.Final {
		flags |= flagFinal
	}
	b = append(b, version<<5|byte(p.Diagnostic), flags, p.Multiplier, size)
	for _, x := range []uint32{p.My, p.Your, uint32(p.MinTx.Microseconds()), uint32(p.MinRx.Microseconds()), 0} {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// Parse reads a packet, and refuses what RFC 5880, section 6.8.6, discards
// whatever the session.
func Parse(b []byte) (Packet, error) {
	if len(b) < size || int(b[3]) < size || int(b[3]) > len(b) {
		return Packet{}, errors.New("shorter than it says or may be")
	}
	micro := func(i int) time.Duration { return time.Duration(binary.BigEndian.Uint32(b[i:])) * time.Microsecond }
	p := Packet{
		Diagnostic: Diagnostic(b[0] & 0x1f), State: State(b[1] >> 6), Poll: b[1]&flagPoll != 0, Final: b[1]&flagFinal != 0,
		Multiplier: b[2], My: binary.BigEndian.Uint32(b[4:]), Your: binary.BigEndian.Uint32(b[8:]), MinTx: micro(12), MinRx: micro(16),
	}
	switch {
	case b[0]>>5 != version:
		return Packet{}, fmt.Errorf("version %d", b[0]>>5)
	case p.Multiplier == 0 || p.My == 0:
		return Packet{}, errors.New("no multiplier or discriminator")
	case b[1]&flagAuth != 0:
		return Packet{}, errors.New("authenticated, and no key is known")
	case b[1]&flagMulti != 0:
		return Packet{}, errors.New("multipoint")
	case p.Poll && p.Final:
		return Packet{}, errors.New("both poll and final")
	case p.Your == 0 && p.State >= Init:
		return Packet{}, errors.New("no session named")
	}
	return p, nil
}
