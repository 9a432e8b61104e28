package announce

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Burst announces every address Repeat times on the interface. A link without
// Ethernet addresses has nobody to tell and is left alone.
func Burst(name string, addrs []netip.Addr) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("announce on %s: %w", name, err)
	}
	if len(ifi.HardwareAddr) != len(MAC{}) || ifi.Flags&net.FlagLoopback != 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // protocol 0: it receives nothing
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("packet socket on %s: %w: the process needs CAP_NET_RAW", name, err)
	}
	if err != nil {
		return fmt.Errorf("packet socket on %s: %w", name, err)
	}
	defer unix.Close(fd)

	mac, router := MAC(ifi.HardwareAddr), forwards(name)
	for range Repeat {
		for _, a := range addrs {
			for _, frame := range Frames(mac, a, router) {
				if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Halen: 6}); err != nil {
					return fmt.Errorf("announce %s on %s: %w", a, name, err)
				}
			}
		}
	}
	return nil
}

// forwards reports whether the host is an IPv6 router on the interface.
func forwards(name string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
