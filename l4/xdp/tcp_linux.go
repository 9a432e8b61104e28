package xdp

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

const protocolTCP = uint8(l4.TCP)

// always is the value of net.ipv4.tcp_syncookies by which the kernel answers
// every SYN with a cookie, and takes each that comes back.
const always = 2

// A tcp is what the kernel's TCP is set to.
type tcp struct {
	Cookies                   int
	Timestamps, SACK, Scaling bool
	Window                    int // bytes that a socket may receive at most
}

// readTCP reads it of this network namespace.
func readTCP() (t tcp, err error) {
	number := func(name string) int {
		text, failed := os.ReadFile("/proc/sys/net/" + name)
		fields := strings.Fields(string(text))
		if failed != nil || len(fields) == 0 {
			err = errors.Join(err, failed)
			return 0
		}
		n, failed := strconv.Atoi(fields[len(fields)-1])
		err = errors.Join(err, failed)
		return n
	}
	t = tcp{
		Cookies: number("ipv4/tcp_syncookies"), Timestamps: number("ipv4/tcp_timestamps") != 0,
		SACK: number("ipv4/tcp_sack") != 0, Scaling: number("ipv4/tcp_window_scaling") != 0,
		Window: max(number("ipv4/tcp_rmem"), number("core/rmem_max")),
	}
	if err == nil && t.Cookies == 0 {
		err = errors.New("net.ipv4.tcp_syncookies is 0, and no cookie is taken: sysctl net.ipv4.tcp_syncookies=1")
	}
	return t, err
}

// scale is what the kernel shifts its windows by (net/ipv4/tcp_output.c,
// tcp_select_initial_window).
func (t tcp) scale() uint32 {
	const most = 14
	return uint32(min(max(bits.Len(uint(t.Window))-16, 0), most))
}

// set sets the variables of programs that are to be loaded. What the kernel
// reads itself has no room for what a client said.
func (t tcp) set(spec *ebpf.CollectionSpec, above int, admit bool) error {
	for name, value := range map[string]any{
		bpf.CookieVarCookieIntervalNs: uint64(1e9) / uint64(above),
		bpf.CookieVarTimestamps:       t.Timestamps && admit,
		bpf.CookieVarSack:             t.SACK,
		bpf.CookieVarScaling:          t.Scaling,
		bpf.CookieVarWindowScale:      t.scale(),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// unrouted says which ports get no cookies since the kernel tells no routes
// to XDP on an interface that does not forward (net/core/filter.c,
// bpf_ipv4_fib_lookup).
func unrouted(ports []netip.AddrPort, held map[string]*held) (err error) {
	families := map[string]bool{}
	for _, p := range ports {
		families[map[bool]string{true: "ipv4", false: "ipv6"}[p.Addr().Is4()]] = true
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for name := range held {
			path := "/proc/sys/net/" + family + "/conf/" + name + "/forwarding"
			if text, failed := os.ReadFile(path); families[family] && failed == nil && strings.TrimSpace(string(text)) == "0" {
				err = errors.Join(err, fmt.Errorf("none for %s by %s, whose routes the kernel does not tell: sysctl net.%s.conf.%s.forwarding=1", family, name, family, name))
			}
		}
	}
	return err
}
