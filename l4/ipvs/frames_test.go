package ipvs_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

// A wire puts frames on the segment between two nodes: a client of any
// address and port, at the cost of a system call.
type wire struct {
	from     *lab.Node
	socket   int
	ifindex  int
	src, dst net.HardwareAddr
}

func newWire(t *testing.T, from, to *lab.Node) *wire {
	t.Helper()
	w := &wire{from: from, socket: -1}
	var err error
	from.Do(func() {
		w.ifindex, w.src = hardware(t, "eth0")
		w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(w.socket) })
	to.Do(func() { _, w.dst = hardware(t, "eth0") })
	return w
}

// hardware is an interface of the namespace that the thread is in.
func hardware(t *testing.T, name string) (index int, mac net.HardwareAddr) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Index, link.Attrs().HardwareAddr
}

// flows are those of clients to a service.
type flows struct {
	to      l4.Key
	clients []netip.AddrPort
}

// send sends the first packet of each flow. They arrive in this order, since
// one processor takes them all.
func (w *wire) send(t *testing.T, all ...flows) {
	t.Helper()
	w.from.Do(func() { // on a thread of its own
		var one unix.CPUSet
		one.Set(0)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			for _, src := range f.clients {
				frame := append(append([]byte(nil), w.dst...), w.src...)
				frame = packet(frame, f.to.Protocol, src, f.to.Addr)
				if err := unix.Sendto(w.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.ifindex}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// packet appends the first packet of a flow. Its transport has no checksum:
// nobody looks at it on the way.
func packet(b []byte, p l4.Protocol, src, dst netip.AddrPort) []byte {
	transport := binary.BigEndian.AppendUint16(nil, src.Port())
	transport = binary.BigEndian.AppendUint16(transport, dst.Port())
	if p == l4.TCP {
		transport = append(transport, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 0x02, 0xff, 0xff, 0, 0, 0, 0) // SYN
	} else {
		transport = append(transport, 0, 8, 0, 0)
	}
	if src.Addr().Is6() {
		b = append(b, 0x86, 0xdd, 6<<4, 0, 0, 0, 0, byte(len(transport)), byte(p), 64)
	} else {
		head := append([]byte{4<<4 | 5, 0, 0, byte(20 + len(transport)), 0, 0, 0x40, 0, 64, byte(p), 0, 0}, src.Addr().AsSlice()...)
		head = append(head, dst.Addr().AsSlice()...)
		var sum uint32
		for i := 0; i < len(head); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(head[i:]))
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(head[10:], ^uint16(sum))
		return append(append(append(b, 0x08, 0x00), head...), transport...)
	}
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	return append(b, transport...)
}

// connections returns the server of each client of a service, from the
// kernel's own list.
func connections(t *testing.T, node *lab.Node, service l4.Key) map[netip.AddrPort]netip.AddrPort {
	t.Helper()
	found := map[netip.AddrPort]netip.AddrPort{}
	node.Do(func() {
		f, err := os.Open("/proc/thread-self/net/ip_vs_conn")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Scan() // the heading
		for lines.Scan() {
			// UDP 0A0000C8 4E20 C000020A 0050 0A000003 0050 UDP 299
			c := strings.Fields(lines.Text())
			if len(c) < 7 {
				t.Fatalf("%q", lines.Text())
			}
			if strings.EqualFold(c[0], service.Protocol.String()) && endpoint(t, c[3], c[4]) == service.Addr {
				found[endpoint(t, c[1], c[2])] = endpoint(t, c[5], c[6])
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	})
	return found
}

func endpoint(t *testing.T, addr, port string) netip.AddrPort {
	t.Helper()
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(fmt.Errorf("port of %s: %w", addr, err))
	}
	if strings.Contains(addr, ":") {
		return netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(n))
	}
	b, err := hex.DecodeString(addr)
	if err != nil || len(b) != 4 {
		t.Fatalf("%q is not an address (%v)", addr, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(n))
}
