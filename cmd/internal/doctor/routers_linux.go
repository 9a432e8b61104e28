package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/vip/vrrp"
)

// listenVRRP collects what others say on the interfaces within a time.
func listenVRRP(ctx context.Context, interfaces []string, within time.Duration) ([]heard, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	type result struct {
		adverts []heard
		err     error
	}
	results := make(chan result)
	open := 0
	var all []heard
	var errs []error
	for _, name := range interfaces {
		fd, err := openVRRP(name) // in this thread's network namespace
		if err != nil {
			errs = append(errs, err)
			continue
		}
		open++
		go func() {
			defer unix.Close(fd)
			adverts, err := receiveVRRP(ctx, fd, name)
			results <- result{adverts, err}
		}()
	}
	for range open {
		r := <-results
		all = append(all, r.adverts...)
		errs = append(errs, r.err)
	}
	return all, errors.Join(errs...)
}

// onlyVRRP lets protocol 112 of both families through, from the network
// header on: an edge's other packets stay in the kernel.
var onlyVRRP = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 0, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x60, SkipTrue: 2},
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.Jump{Skip: 1},
	bpf.LoadAbsolute{Off: 6, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 112, SkipFalse: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

// openVRRP opens a packet socket that also gets the two multicast groups,
// which the interface would keep back where nobody has joined them.
func openVRRP(name string) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("listen for VRRP: interface %s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // no protocol yet: nothing comes unfiltered
	if err != nil {
		return 0, fmt.Errorf("listen for VRRP on %s: %w", name, err)
	}
	err = prepareVRRP(fd, ifi.Index)
	if err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("listen for VRRP on %s: %w", name, err)
	}
	return fd, nil
}

func prepareVRRP(fd, index int) error {
	raw, err := bpf.Assemble(onlyVRRP)
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	for _, group := range []net.HardwareAddr{{1, 0, 0x5e, 0, 0, 18}, {0x33, 0x33, 0, 0, 0, 18}} {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
		copy(m.Address[:], group)
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		return err
	}
	tick := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: 0x0300}) // ETH_P_ALL in network order
}

func receiveVRRP(ctx context.Context, fd int, iface string) ([]heard, error) {
	var out []heard
	buf := make([]byte, 65536)
	for ctx.Err() == nil {
		size, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("listen for VRRP on %s: %w", iface, err)
		}
		if l, isLink := from.(*unix.SockaddrLinklayer); isLink && l.Pkttype == unix.PACKET_OUTGOING {
			continue // our own
		}
		if h, ok := parseHeard(buf[:size]); ok {
			h.iface = iface
			out = append(out, h)
		}
	}
	return out, nil
}

// parseHeard reads an IP packet of protocol 112.
func parseHeard(b []byte) (heard, bool) {
	var src, dst netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[9] == 112:
		header, length := int(b[0]&15)*4, int(b[2])<<8|int(b[3])
		if header < 20 || length < header || len(b) < length {
			return heard{}, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[header:length]
	case len(b) >= 40 && b[0]>>4 == 6 && b[6] == 112:
		length := 40 + int(b[4])<<8 + int(b[5])
		if len(b) < length {
			return heard{}, false
		}
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:length]
	default:
		return heard{}, false
	}
	p, verdict := vrrp.Parse(b, src, dst)
	if len(b) < 8 || b[0]&15 != 1 || verdict != vrrp.Accepted && b[0]>>4 != 2 && b[0]>>4 != 3 {
		return heard{}, false
	}
	h := heard{source: src, packet: p, broken: verdict != vrrp.Accepted}
	h.packet.Version, h.packet.VRID = b[0]>>4, b[1]
	return h, true
}
