package xdp_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What the kernel does with a frame (enum xdp_action).
const (
	xdpDrop = 1
	xdpPass = 2
	xdpTX   = 3
)

// Where things are in a frame of UDP over IPv4.
const (
	atSrc     = 14 + 12 // the source's address
	atSrcLow  = 14 + 14 // the lower half of it
	atID      = 14 + 4
	atSrcPort = 14 + 20
	frameSize = 60
)

// Clients have 2^14 ports each, from 1024 up.
const portBits = 14

// A generator is a program that makes each frame one of another flow, in turn,
// and hands it on. It also puts the hardware addresses right: the kernel uses
// the same memory again for the next frame.
type generator struct {
	*ebpf.Program
	state *ebpf.Map
}

// A course is what a generator does; its own counter is n.
type course struct {
	N, Mask  uint64 // flow n&Mask is next
	Dst, Src [6]byte
	_        [4]byte
}

// newGenerator ends each run with the instructions onward, which find the
// context in R6.
func newGenerator(t testing.TB, onward asm.Instructions) *generator {
	t.Helper()
	state, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 32, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, state.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R0, 8, asm.DWord),
		asm.And.Reg(asm.R8, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R6, 4, asm.Word), // its end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, frameSize),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R1, asm.R0, 16, asm.DWord),
		asm.StoreMem(asm.R2, 0, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R0, 24, asm.Word),
		asm.StoreMem(asm.R2, 8, asm.R1, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.And.Imm(asm.R1, 1<<portBits-1),
		asm.Add.Imm(asm.R1, 1024),
		asm.HostTo(asm.BE, asm.R1, asm.Half),
		asm.StoreMem(asm.R2, atSrcPort, asm.R1, asm.Half),
		// The identification makes up for the address: the sum of both, and
		// so the checksum, is always the same.
		asm.RSh.Imm(asm.R8, portBits),
		asm.And.Imm(asm.R8, 0xffff),
		asm.HostTo(asm.BE, asm.R8, asm.Half),
		asm.StoreMem(asm.R2, atSrcLow, asm.R8, asm.Half),
		asm.Xor.Imm(asm.R8, 0xffff),
		asm.StoreMem(asm.R2, atID, asm.R8, asm.Half),
	}
	code = append(code, onward...)
	code = append(code, verdict(xdpDrop, "out")...)
	return &generator{program(t, "generator", code), state}
}

func (g *generator) set(t testing.TB, c course) {
	t.Helper()
	if err := g.state.Put(uint32(0), c); err != nil {
		t.Fatal(err)
	}
}

// into ends in another program.
func into(t testing.TB, p *ebpf.Program) asm.Instructions {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Put(uint32(0), p); err != nil {
		t.Fatal(err)
	}
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, m.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
	}
}

// outBy sends the frame by an interface.
func outBy(index int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// lookup is a program that looks each frame's flow up, of service 1, and drops
// the frame if there is none.
func lookup(t testing.TB, flows *ebpf.Map) *ebpf.Program {
	t.Helper()
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // its end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, frameSize),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R3, asm.R2, atSrc, asm.Word),
		asm.StoreMem(asm.RFP, -8, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, asm.R2, atSrcPort, asm.Half),
		asm.StoreMem(asm.RFP, -4, asm.R3, asm.Half),
		asm.StoreImm(asm.RFP, -2, 1, asm.Half),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.LoadMapPtr(asm.R1, flows.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		// It is read, as who looks it up does, and is never 0.
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "out"),
	}
	code = append(code, verdict(xdpPass, "")...)
	return program(t, "lookup", append(code, verdict(xdpDrop, "out")...))
}

// constant is a program that does the same with every frame.
func constant(t testing.TB, action int32) *ebpf.Program {
	t.Helper()
	return program(t, "constant", verdict(action, ""))
}

func verdict(action int32, label string) asm.Instructions {
	first := asm.Mov.Imm(asm.R0, action)
	if label != "" {
		first = first.WithSymbol(label)
	}
	return asm.Instructions{first, asm.Return()}
}

func program(t testing.TB, name string, code asm.Instructions) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, AttachType: ebpf.AttachXDP, // as those have that it calls
		Instructions: code, License: "GPL",
	})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// datagram is the frame that a generator works on.
func datagram(to netip.AddrPort) []byte {
	be := binary.BigEndian
	b := make([]byte, frameSize)
	be.PutUint16(b[12:], 0x0800)
	ip := b[14:34]
	copy(ip, []byte{0x45, 0, 0, frameSize - 14, 0xff, 0xff, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 0})
	copy(ip[16:], to.Addr().AsSlice())
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(be.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	be.PutUint16(ip[10:], ^uint16(sum))
	be.PutUint16(b[36:], to.Port())
	be.PutUint16(b[38:], frameSize-34)
	return b
}
