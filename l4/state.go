package l4

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Protocol is an IP protocol number (RFC 5237).
type Protocol uint8

// The protocols a service may have.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns the protocol's name, or its number where it has none here.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return strconv.Itoa(int(p))
}

func parseProtocol(s string) (Protocol, error) {
	switch s {
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%q is not a protocol", s)
	}
	return Protocol(n), nil
}

// A Key is what tells one virtual service from another in a dataplane.
type Key struct {
	Protocol Protocol
	Addr     netip.AddrPort
}

// String returns "tcp 192.0.2.10:80".
func (k Key) String() string { return k.Protocol.String() + " " + k.Addr.String() }

// ParseKey is the inverse of Key.String.
func ParseKey(s string) (Key, error) {
	proto, addr, ok := strings.Cut(s, " ")
	if !ok {
		return Key{}, fmt.Errorf("%q is not a service: want protocol, space, address and port", s)
	}
	p, err := parseProtocol(proto)
	if err != nil {
		return Key{}, err
	}
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return Key{}, err
	}
	return Key{p, a}, nil
}

// Compare orders keys by protocol, address and port.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Protocol, o.Protocol), k.Addr.Compare(o.Addr))
}

// A Forward is the way packets reach a destination; the numbers are the
// kernel's (include/uapi/linux/ip_vs.h, IP_VS_CONN_F_FWD_MASK).
type Forward uint8

// The forwarding methods a dataplane may report.
const (
	Masquerade  Forward = 0
	LocalNode   Forward = 1
	Tunnel      Forward = 2
	DirectRoute Forward = 3
	Bypass      Forward = 4
)

// Flags of a virtual service (include/uapi/linux/ip_vs.h). What the two of a
// scheduler mean is the scheduler's business.
const (
	// FlagFallback (IP_VS_SVC_F_SCHED1) makes sh and mh look on when the
	// server they hit has weight 0; without it that server's share of the
	// clients is refused.
	FlagFallback uint32 = 0x08
	// FlagPort (IP_VS_SVC_F_SCHED2) makes sh and mh hash the client's port
	// along with its address.
	FlagPort uint32 = 0x10
)

// A State is what a dataplane holds, or should hold.
type State struct {
	// Sysctls are settings of the dataplane as a whole, by their name under
	// net.ipv4.vs. One that this kernel has not is absent.
	Sysctls  map[string]int
	Timeouts Timeouts
	Services []VirtualService
}

// Timeouts are how long an idle connection is remembered, in whole seconds.
// Zero in a wanted state leaves the dataplane's own.
type Timeouts struct{ TCP, TCPFin, UDP time.Duration }

// A VirtualService is an address and port whose connections are spread.
type VirtualService struct {
	Key       Key
	Scheduler string
	Flags     uint32
	// Destinations are in the dataplane's order, which decides what sh and mh
	// choose.
	Destinations []Destination
}

// A Destination is a server as a dataplane knows it.
type Destination struct {
	Addr    netip.AddrPort
	Forward Forward
	// Weight is the share of new connections; at 0 there are none and the
	// old ones go on.
	Weight int
	// Base is the weight the mh scheduler builds its table from: the latest
	// weight that was not 0 (net/netfilter/ipvs/ip_vs_ctl.c, last_weight).
	// In a wanted state 0 means that it does not matter; in a read one, that
	// it is not known, since the kernel does not tell.
	Base int
	// Active and Inactive count connections; only a read state has them.
	Active, Inactive int
}

// Find returns the service of key k, or nil.
func (s *State) Find(k Key) *VirtualService {
	for i := range s.Services {
		if s.Services[i].Key == k {
			return &s.Services[i]
		}
	}
	return nil
}

// Find returns the destination at addr, or nil. A nil service has none.
func (v *VirtualService) Find(addr netip.AddrPort) *Destination {
	if v == nil {
		return nil
	}
	for i := range v.Destinations {
		if v.Destinations[i].Addr == addr {
			return &v.Destinations[i]
		}
	}
	return nil
}

// String prints the services as `ipvsadm -Sn` does, destinations in the
// dataplane's order.
func (s State) String() string {
	var b strings.Builder
	services := slices.SortedFunc(slices.Values(s.Services), func(a, b VirtualService) int { return a.Key.Compare(b.Key) })
	for _, v := range services {
		fmt.Fprintf(&b, "-A %s -s %s%s\n", v.Key.option(), v.Scheduler, v.flagOptions())
		for _, d := range v.Destinations {
			fmt.Fprintf(&b, "-a %s -r %s %s -w %d\n", v.Key.option(), d.Addr, d.Forward.option(), d.Weight)
		}
	}
	return b.String()
}

func (k Key) option() string {
	letter := "-t"
	if k.Protocol == UDP {
		letter = "-u"
	}
	return letter + " " + k.Addr.String()
}

func (v VirtualService) flagOptions() string {
	names := []string{"flag-1", "flag-2"}
	if v.Scheduler == "sh" || v.Scheduler == "mh" {
		names = []string{v.Scheduler + "-fallback", v.Scheduler + "-port"}
	}
	var set []string
	for i, f := range []uint32{FlagFallback, FlagPort} {
		if v.Flags&f != 0 {
			set = append(set, names[i])
		}
	}
	if set == nil {
		return ""
	}
	return " -b " + strings.Join(set, ",")
}

func (f Forward) option() string {
	switch f {
	case DirectRoute:
		return "-g"
	case Tunnel:
		return "-i"
	}
	return "-m"
}
