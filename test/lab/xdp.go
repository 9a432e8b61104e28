package lab

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// xdpPass is what a program returns that lets every frame go on
// (include/uapi/linux/bpf.h, enum xdp_action).
const xdpPass = 2

// TakeXDP readies the switch for nodes that run XDP programs: what one sends by
// a veth is received where the other end has a program too. The nodes that send
// to them need NoOffload besides, for a program forwards what it gets as it is.
func (nw *Network) TakeXDP(nodes ...*Node) {
	nw.lab.t.Helper()
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0", Name: "pass",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	nw.check("load XDP program", err)
	defer pass.Close()
	for _, n := range nodes {
		for _, port := range nw.ports[n] {
			var held link.Link
			attach := func() {
				held, err = link.AttachXDP(link.XDPOptions{Program: pass, Interface: nw.port(port).Attrs().Index, Flags: link.XDPDriverMode})
			}
			nw.check("enter", nw.do(attach))
			nw.check("attach XDP to "+port, err)
			nw.lab.t.Cleanup(func() { held.Close() })
		}
	}
}

// MountBPF gives the node a BPF file system at a path, which outlives the
// programs that pin there.
func (n *Node) MountBPF(path string) {
	n.lab.t.Helper()
	n.check("directory", os.MkdirAll(path, 0o700))
	err := unix.Mount("bpf", path, "bpf", 0, "mode=0700")
	n.check(fmt.Sprintf("mount bpf on %s", path), err)
	n.lab.t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			n.lab.t.Logf("lab: unmount %s: %v", path, err)
		}
	})
}
