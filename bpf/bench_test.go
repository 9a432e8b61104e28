package bpf_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/portico-lb/portico/bpf"
)

// BenchmarkPacket tells what a frame costs, without a driver, on one CPU: of
// one flow; of a thousand and a million flows in turn, which are all in the
// cache; and what running an empty program costs, which the others contain.
func BenchmarkPacket(b *testing.B) {
	b.Run("empty", func(b *testing.B) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		repeat(b, p, make([]byte, 64))
	})
	for _, flows := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			w := turning(b, flows)
			if _, _, err := w.PorticoL4.Benchmark(fromClient(client4, vip4, ack), 2*flows, nil); err != nil {
				b.Fatal(err)
			}
			before := w.event(bpf.L4EventFLOW_NEW)
			repeat(b, w.PorticoL4, fromClient(client4, vip4, ack))
			if new := w.event(bpf.L4EventFLOW_NEW) - before; new > uint64(b.N)/100+2 {
				b.Fatalf("%d of %d packets were of no known flow", new, b.N)
			}
		})
	}
	for name, frame := range map[string][]byte{
		"syn":             fromClient(client4, vip4, syn),
		"syn,ipv6":        fromClient(client6, vip6, syn),
		"ipv6":            fromClient(client6, vip6, ack),
		"no service":      fromClient(client4, netip.AddrPortFrom(vip4.Addr(), 9), ack),
		"no address":      fromClient(client4, nobody, ack),
		"fragment needed": tooBig(tcp(443, 40000, ack)),
	} {
		b.Run(name, func(b *testing.B) { repeat(b, turning(b, 1).PorticoL4, frame) })
	}
}

// repeat measures a program inside the kernel, in twenty rounds: the quickest
// is the one that other work on the machine disturbed least.
func repeat(b *testing.B, p *ebpf.Program, frame []byte) {
	b.Helper()
	best := time.Hour
	for range 20 {
		_, took, err := p.Benchmark(frame, b.N/20+1, nil)
		if err != nil {
			b.Fatal(err)
		}
		best = min(best, took)
	}
	b.ReportMetric(float64(best.Nanoseconds()), "ns/packet")
	b.ReportMetric(0, "ns/op")
}

// turning is a world with a service of ten servers, all with the director's
// own MAC address, so that a frame that was sent may come in again. Before
// each run the frame gets the next of several IPv4 sources.
func turning(b *testing.B, flows int) *world {
	w := load(b, func(spec *ebpf.CollectionSpec) {
		// The test runs on one CPU, whose share must hold them all.
		spec.Maps[bpf.L4MapFlows4].MaxEntries = uint32(max(4096, flows*5/4*ebpf.MustPossibleCPU()))
		tune(bpf.L4VarFloodRate, ^uint64(0))(spec)
		if flows > 1 {
			program := spec.Programs[bpf.L4ProgPorticoL4]
			program.Instructions = withTurn(program.Instructions, int32(flows))
		}
	})
	for i, vip := range []netip.AddrPort{vip4, vip6} {
		var servers []server
		for n := range 10 {
			s := serverAt(n, vip, 1)
			s.backend.Mac = wireMAC(director)
			servers = append(servers, s)
		}
		w.serve(uint32(i+1), protoTCP, vip, withPort|withFallback, uint32(10*i+1), servers...)
	}
	return w
}

// withTurn puts a few instructions before a program that count the source
// address of an IPv4 packet up, from 0.0.0.0, and begin again after the last.
func withTurn(program asm.Instructions, flows int32) asm.Instructions {
	turn := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithMetadata(program[0].Metadata), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),                                   // data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 30),
		asm.JGT.Reg(asm.R4, asm.R3, "program"),
		asm.LoadMem(asm.R4, asm.R2, 26, asm.Word),
		asm.HostTo(asm.BE, asm.R4, asm.Word),
		asm.Add.Imm(asm.R4, 1),
		asm.JLT.Imm(asm.R4, flows, "store"),
		asm.Mov.Imm(asm.R4, 0),
		asm.HostTo(asm.BE, asm.R4, asm.Word).WithSymbol("store"),
		asm.StoreMem(asm.R2, 26, asm.R4, asm.Word),
	}
	program[0].Metadata = asm.Metadata{}
	program[0] = program[0].WithSymbol("program")
	return append(turn, program...)
}
