package xdp

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// Modes in which a program runs on an interface.
const (
	Native  = "native"  // in the driver, before the packet costs anything
	Generic = "generic" // in the kernel's stack, for every driver
)

// objection says why an interface is not asked at all; held says that what it
// has is a program of ours. Without being told to,
// XDP takes only what is sure to be as reliable as IPVS: the two ends of a veth
// must both hold a program, or one sends and the other hears nothing.
func objection(l netlink.Link, choice l4.Choice, held bool) error {
	if x := l.Attrs().Xdp; x != nil && x.Attached && !held {
		return fmt.Errorf("another XDP program, of id %d, is attached", x.ProgId)
	}
	if len(l.Attrs().HardwareAddr) != len(MAC{}) {
		return errors.New("it is no Ethernet")
	}
	if i := l.Attrs().Index; i > maxIndex {
		return fmt.Errorf("its index is %d, and XDP takes none above %d: interfaces get small ones at boot", i, maxIndex)
	}
	if choice == l4.Auto && l.Type() == "veth" {
		return errors.New(`a veth needs a program at its other end too: dataplane = "xdp" takes it all the same`)
	}
	return nil
}

// attach puts a program on an interface, and says in which mode. Without being
// told to it takes no generic one: that runs when the packet has cost most of
// what it costs, and copies those that arrive joined.
func attach(l netlink.Link, prog *ebpf.Program, choice l4.Choice) (link.Link, string, error) {
	held, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Attrs().Index, Flags: link.XDPDriverMode})
	if err == nil {
		return held, Native, nil
	}
	err = fmt.Errorf("its driver takes no XDP program (%w)", bare(err))
	if choice == l4.Auto {
		return nil, "", err
	}
	held, also := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Attrs().Index, Flags: link.XDPGenericMode})
	if also != nil {
		return nil, "", fmt.Errorf("%w, nor does the kernel for it: %w", err, bare(also))
	}
	return held, Generic, nil
}

// bare takes what a library says about an errno from it.
func bare(err error) error {
	var no unix.Errno
	if errors.As(err, &no) {
		return os.NewSyscallError("bpf", no)
	}
	return err
}

// mode returns how the program of an interface is attached (IFLA_XDP_ATTACHED,
// include/uapi/linux/if_link.h).
func mode(l netlink.Link) string {
	x := l.Attrs().Xdp
	switch {
	case x == nil || !x.Attached:
		return ""
	case x.AttachMode == attachedGeneric:
		return Generic
	}
	return Native
}

// attachedGeneric is XDP_ATTACHED_SKB.
const attachedGeneric = 2
