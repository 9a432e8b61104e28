package neighbor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
)

const (
	// maxFiltered keeps the program, at two instructions an address, below
	// the kernel's limit of 4096 (BPF_MAXINSNS).
	maxFiltered = 1024
	take, leave = 0xffff, 0 // bytes of the frame
)

// Filter returns a classic BPF program for a socket that sees ARP, or IPv6
// where v6 is set. It lets through what may claim one of the addresses, so that
// the process sleeps through all other traffic of the link. For IPv6 it
// compares the last four bytes of an address, and Parse the rest; of more
// addresses than a program can hold it lets through all claims.
func Filter(v6 bool, addrs []netip.Addr) []bpf.Instruction {
	var p []bpf.Instruction
	var words []uint32
	for _, a := range addrs {
		if a.Is6() == v6 {
			b := a.AsSlice()
			words = append(words, binary.BigEndian.Uint32(b[len(b)-4:]))
		}
	}
	at := uint32(headerLen + 14) // the sender's address in an ARP packet
	if v6 {
		p = append(p, only(headerLen+6, icmpv6)...)
		p = append(p, only(headerLen+ipv6Len, naType)...)
		at = headerLen + ipv6Len + ndLen - 4 // the end of the target
	}
	if len(words) > maxFiltered {
		return append(p, bpf.RetConstant{Val: take})
	}
	p = append(p, bpf.LoadAbsolute{Off: at, Size: 4})
	for _, w := range words {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: w, SkipTrue: 1}, bpf.RetConstant{Val: take})
	}
	return append(p, bpf.RetConstant{Val: leave})
}

// only ends the program unless the byte has the value.
func only(at, value uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: at, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1},
		bpf.RetConstant{Val: leave},
	}
}
