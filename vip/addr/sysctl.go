package addr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Sysctl is a setting below /proc/sys; the name is a path, since interface
// names may contain dots.
type Sysctl struct{ Name, Value string }

// String is the setting as sysctl prints it.
func (s Sysctl) String() string { return s.Name + " = " + s.Value }

// Sysctls are the settings under which a virtual address may stand on lo:
//
//   - arp_ignore=1: answer ARP only for addresses of the interface that is asked,
//     so that the nodes that do not own the address are silent. Mode 2 would also
//     want the asker in the address's subnet, and a host address has none.
//   - arp_announce=2: ask with an address of the interface, never with the
//     virtual one as sender, which would move it in the neighbours' caches.
//
// The kernel takes the maximum of all and the interface's own
// (Documentation/networking/ip-sysctl.rst); all covers every other interface
// that might be asked for an address of lo. IPv6 needs nothing of the kind:
// it answers for addresses of the interface that is asked, only.
func Sysctls(interfaces []string) []Sysctl {
	names := append([]string{"all"}, interfaces...)
	slices.Sort(names)
	var want []Sysctl
	for _, i := range slices.Compact(names) {
		want = append(want, Sysctl{"net/ipv4/conf/" + i + "/arp_ignore", "1"}, Sysctl{"net/ipv4/conf/" + i + "/arp_announce", "2"})
	}
	return want
}

// ReadSysctl returns the value of a setting.
func ReadSysctl(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return "", fmt.Errorf("read sysctl: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// WriteSysctl changes a setting.
func WriteSysctl(s Sysctl) error {
	err := os.WriteFile(filepath.Join("/proc/sys", s.Name), []byte(s.Value), 0)
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("set %v: %w: set it in /etc/sysctl.d, or let the process (CAP_NET_ADMIN, /proc/sys writable)", s, err)
	}
	if err != nil {
		return fmt.Errorf("set %v: %w", s, err)
	}
	return nil
}

// StrictReversePath reports whether the interface drops packets whose source
// it would not route back by the same interface (rp_filter=1 there or in all).
// A backend behind a director may need 0 or 2.
func StrictReversePath(iface string) bool {
	strict := false
	for _, i := range []string{"all", iface} {
		switch v, _ := ReadSysctl("net/ipv4/conf/" + i + "/rp_filter"); v {
		case "1":
			strict = true
		case "2": // loose wins: the kernel takes the maximum
			return false
		}
	}
	return strict
}

// IsOurs reports whether a setting has the value that Sysctls gives it.
func IsOurs(s Sysctl) bool {
	return strings.HasSuffix(s.Name, "/arp_ignore") && s.Value == "1" || strings.HasSuffix(s.Name, "/arp_announce") && s.Value == "2"
}
