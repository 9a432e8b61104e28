package drpath

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// firstPort is where the ports begin that attempts use: above the range that
// the kernel gives to sockets (net.ipv4.ip_local_port_range), so that no
// answer meets a connection of the node's own.
const firstPort = 61000

// A wire is a packet socket on one interface and the attempts that wait for
// frames from it.
type wire struct {
	file   *os.File
	name   string
	reader sync.WaitGroup

	mu     sync.Mutex
	flows  map[uint16]*flow // by the port they are sent from
	claims map[claimed]map[*flow]bool
	next   uint16
}

// A flow gets the frames that may answer one attempt: segments to its port,
// and claims of the address it asks for. Thousands may wait at a time, when
// as many servers are silent: none of them costs the others anything.
type flow struct {
	port   uint16
	asks   claimed
	events chan event
}

// claimed is an address and who says that it is his; the zero mac is anybody.
type claimed struct {
	addr netip.Addr
	by   mac
}

func openWire(ifi *net.Interface) (*wire, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("packet socket: %w: the process needs CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err := listen(fd, ifi.Index); err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket on %s: %w", ifi.Name, err), unix.Close(fd))
	}
	w := &wire{
		file:  os.NewFile(uintptr(fd), "packet socket on "+ifi.Name),
		name:  ifi.Name,
		flows: map[uint16]*flow{}, claims: map[claimed]map[*flow]bool{},
		next: firstPort,
	}
	w.reader.Go(w.read)
	return w, nil
}

// listen makes the socket hear the interface. The filter is attached before,
// so that no other frame gets in.
func listen(fd, ifindex int) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	// Room for the answers of a moment in which this process does not run.
	// Without CAP_NET_ADMIN it stays at what the kernel gives.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: ifindex})
}

// filter passes answers to attempts and nothing else: the socket hears all
// that the interface receives, and waking up for it would cost more than all
// checks together.
var filter = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Val: etherARP, SkipFalse: 3},
	bpf.LoadAbsolute{Off: 20, Size: 2},
	bpf.JumpIf{Val: arpReply, SkipTrue: 20},
	bpf.RetConstant{},

	bpf.JumpIf{Val: etherIPv4, SkipFalse: 9},
	bpf.LoadAbsolute{Off: 23, Size: 1},
	bpf.JumpIf{Val: protoTCP, SkipFalse: 15},
	bpf.LoadAbsolute{Off: 20, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 13}, // a later fragment
	bpf.LoadMemShift{Off: etherLen},
	bpf.LoadIndirect{Off: etherLen + 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstPort, SkipTrue: 10},
	bpf.LoadIndirect{Off: etherLen + 13, Size: 1},
	bpf.Jump{Skip: 7}, // to the flags

	bpf.JumpIf{Val: etherIPv6, SkipFalse: 7},
	bpf.LoadAbsolute{Off: 20, Size: 1},
	bpf.JumpIf{Val: protoICMPv6, SkipTrue: 7},
	bpf.JumpIf{Val: protoTCP, SkipFalse: 4},
	bpf.LoadAbsolute{Off: etherLen + ipv6Len + 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstPort, SkipTrue: 2},
	bpf.LoadAbsolute{Off: etherLen + ipv6Len + 13, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: flagSYN | flagRST, SkipTrue: 1},
	bpf.RetConstant{},
	bpf.RetConstant{Val: 256},

	bpf.LoadAbsolute{Off: etherLen + ipv6Len, Size: 1},
	bpf.JumpIf{Val: ndAdvertise, SkipFalse: 1},
	bpf.RetConstant{Val: 256},
	bpf.RetConstant{},
}

// read hands frames to the flows until the socket is closed.
func (w *wire) read() {
	buf := make([]byte, 256)
	for {
		n, err := w.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue // the interface went down, told once
		}
		if e, ok := parse(buf[:n]); ok {
			w.deliver(e)
		}
	}
}

func (w *wire) deliver(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.kind != claim {
		w.flows[e.dst.Port()].give(e)
		return
	}
	for _, by := range []mac{e.mac, {}} {
		for f := range w.claims[claimed{e.addr, by}] {
			f.give(e)
		}
	}
}

func (f *flow) give(e event) {
	if f == nil {
		return
	}
	select {
	case f.events <- e:
	default: // more answers than questions: not needed
	}
}

// open returns a new flow, which hears what is claimed as well.
func (w *wire) open(asks claimed) (*flow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 1<<16 - firstPort {
		port := w.next
		if w.next++; w.next == 0 {
			w.next = firstPort
		}
		if w.flows[port] == nil {
			f := &flow{port: port, asks: asks, events: make(chan event, 8)}
			w.flows[port] = f
			if w.claims[asks] == nil {
				w.claims[asks] = map[*flow]bool{}
			}
			w.claims[asks][f] = true
			return f, nil
		}
	}
	return nil, fmt.Errorf("%d attempts wait on %s: longer intervals or shorter timeouts are needed", len(w.flows), w.name)
}

func (w *wire) drop(f *flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.flows, f.port)
	delete(w.claims[f.asks], f)
	if len(w.claims[f.asks]) == 0 {
		delete(w.claims, f.asks)
	}
}

func (w *wire) send(frame []byte) error {
	if _, err := w.file.Write(frame); err != nil {
		return fmt.Errorf("send on %s: %w", w.name, err)
	}
	return nil
}

func (w *wire) close() error {
	err := w.file.SetReadDeadline(time.Unix(1, 0))
	w.reader.Wait()
	return errors.Join(err, w.file.Close())
}
