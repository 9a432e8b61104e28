package l4_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/lab"
)

// changing are the commands of IPVS that change something
// (include/uapi/linux/ip_vs.h, IPVS_CMD_*).
var changing = map[uint8]string{
	1: "new-service", 2: "set-service", 3: "del-service", 5: "new-dest", 6: "set-dest", 7: "del-dest",
	9: "new-daemon", 10: "del-daemon", 12: "set-config", 16: "zero", 17: "flush",
}

// A spy sees all messages to the kernel's IPVS in a node's namespace, whoever
// sends them.
type spy struct {
	family uint16

	mu     sync.Mutex
	counts map[string]int
	latest time.Time
}

// watch starts a spy. It needs the kernel's nlmon.
func watch(b *testing.B, n *lab.Node) *spy {
	b.Helper()
	n.Output("modprobe", "nlmon")
	n.Output("ip", "link", "add", "nlmon0", "type", "nlmon")
	n.LinkUp("nlmon0")
	family, err := netlink.GenlFamilyGet("IPVS")
	if err != nil {
		b.Fatal(err)
	}
	var fd int
	n.Do(func() { fd, err = tap("nlmon0") })
	if err != nil {
		b.Fatal(err)
	}
	s := &spy{family: family.ID, counts: map[string]int{}}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.run(fd, stop)
	}()
	b.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(fd)
	})
	return s
}

// tap opens a socket on an interface, which returns from a read after a while.
func tap(ifname string) (int, error) {
	link, err := netlink.LinkByName(ifname)
	if err != nil {
		return 0, err
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index}),
	)
}

func (s *spy) run(fd int, stop <-chan struct{}) {
	buf := make([]byte, 1<<18)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == nil {
			s.take(buf[:n])
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// take counts the requests of one system call (struct nlmsghdr, genlmsghdr);
// answers are no requests.
func (s *spy) take(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) >= 20 {
		size, kind := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:])
		request := binary.NativeEndian.Uint16(b[6:])&unix.NLM_F_REQUEST != 0
		if name := changing[b[16]]; request && kind == s.family && name != "" {
			s.counts[name]++
			s.latest = time.Now()
		}
		if size < 16 || int(size+3)&^3 > len(b) {
			return
		}
		b = b[(size+3)&^3:]
	}
}

// reset forgets what was seen.
func (s *spy) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts, s.latest = map[string]int{}, time.Time{}
}

// seen returns how many messages there were, of which kinds, and when the
// latest came.
func (s *spy) seen() (total int, kinds string, latest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.counts)) {
		total += s.counts[name]
		list = append(list, fmt.Sprintf("%s %d", name, s.counts[name]))
	}
	return total, strings.Join(list, ", "), s.latest
}
