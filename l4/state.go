package l4

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Protocol is an IP protocol number (RFC 5237).
type Protocol uint8

// The protocols a service may have.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the protocol's name, or its number where it has none here.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

func parseProtocol(s string) (Protocol, error) {
	switch s {
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	case "sctp":
		return SCTP, nil
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
	// Mark, if not 0, selects packets by their firewall mark instead, of
	// whatever protocol. Addr is then the unspecified address of
	// their family, and port 0.
	Mark uint32
}

// MarkKey returns the key of the service that takes packets with a mark.
func MarkKey(mark uint32, v6 bool) Key {
	a := netip.IPv4Unspecified()
	if v6 {
		a = netip.IPv6Unspecified()
	}
	return Key{Mark: mark, Addr: netip.AddrPortFrom(a, 0)}
}

// String returns "tcp 192.0.2.10:80", "fwmark 7", or "fwmark6 7" for IPv6.
func (k Key) String() string {
	if k.Mark == 0 {
		return k.Protocol.String() + " " + k.Addr.String()
	}
	word := "fwmark "
	if k.Addr.Addr().Is6() {
		word = "fwmark6 "
	}
	return word + strconv.FormatUint(uint64(k.Mark), 10)
}

// ParseKey is the inverse of Key.String.
func ParseKey(s string) (Key, error) {
	proto, addr, ok := strings.Cut(s, " ")
	if !ok {
		return Key{}, fmt.Errorf("%q is not a service: want protocol, space, address and port", s)
	}
	if proto == "fwmark" || proto == "fwmark6" {
		mark, err := strconv.ParseUint(addr, 10, 32)
		if err != nil || mark == 0 {
			return Key{}, fmt.Errorf("%q is not a firewall mark", addr)
		}
		return MarkKey(uint32(mark), proto == "fwmark6"), nil
	}
	p, err := parseProtocol(proto)
	if err != nil {
		return Key{}, err
	}
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return Key{}, err
	}
	return Key{Protocol: p, Addr: a}, nil
}

// Compare orders keys by mark, protocol, address and port.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Mark, o.Mark), cmp.Compare(k.Protocol, o.Protocol), k.Addr.Compare(o.Addr))
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
	// FlagPersistent (IP_VS_SVC_F_PERSISTENT) stands where Persistence is
	// not 0.
	FlagPersistent uint32 = 0x01
	// FlagOnePacket (IP_VS_SVC_F_ONEPACKET) schedules each datagram anew.
	FlagOnePacket uint32 = 0x04
	// FlagFallback (IP_VS_SVC_F_SCHED1) makes sh and mh look on when the
	// server they hit has weight 0; without it that server's share of the
	// clients is refused.
	FlagFallback uint32 = 0x08
	// FlagPort (IP_VS_SVC_F_SCHED2) makes sh and mh hash the client's port
	// along with its address.
	FlagPort uint32 = 0x10
)

// An Encap is how packets are wrapped for a destination with Forward Tunnel;
// its numbers are the kernel's (IP_VS_CONN_F_TUNNEL_TYPE_*,
// IP_VS_TUNNEL_ENCAP_FLAG_*).
type Encap struct {
	Type EncapType
	// Port is that of GUE, 0 for the others.
	Port     uint16
	Checksum Checksum
}

// An EncapType is a protocol that wraps packets.
type EncapType uint8

// The types of encapsulation.
const (
	IPIP EncapType = 0
	GUE  EncapType = 1
	GRE  EncapType = 2
)

// A Checksum is which checksum an encapsulation carries.
type Checksum uint16

// The checksums of GUE; GRE has the first two.
const (
	NoChecksum     Checksum = 0
	FullChecksum   Checksum = 1
	RemoteChecksum Checksum = 2
)

// A State is what a dataplane holds, or should hold.
type State struct {
	// Sysctls are settings of the dataplane as a whole, by their name under
	// net.ipv4.vs. One that this kernel has not is absent.
	Sysctls  map[string]int
	Timeouts Timeouts
	Services []VirtualService
	// Daemons are the sync daemons that run. In a wanted state a role that is
	// absent is left alone, and the zero Daemon says that none may run.
	Daemons map[Role]Daemon
}

// A VirtualService is an address and port whose connections are spread.
type VirtualService struct {
	Key       Key
	Scheduler string
	Flags     uint32
	// Persistence is how long a client stays with its server, in whole
	// seconds; 0 is off. Prefix is how many bits of its address make a client
	// then, 0 all of them.
	Persistence time.Duration
	Prefix      int
	// Stats are there in a read state only.
	Stats Stats
	// Destinations are in the dataplane's order, which decides what sh and mh
	// choose.
	Destinations []Destination
}

// A Destination is a server as a dataplane knows it.
type Destination struct {
	Addr    netip.AddrPort
	Forward Forward
	Encap   Encap
	// Upper is the number of connections at which the destination gets no
	// more, 0 for no limit, and Lower the one below which it does again, 0 for
	// three quarters of Upper.
	Upper, Lower int
	// Weight is the share of new connections; at 0 there are none and the
	// old ones go on.
	Weight int
	// Base is the weight the mh scheduler builds its table from: the latest
	// weight that was not 0 (net/netfilter/ipvs/ip_vs_ctl.c, last_weight).
	// In a wanted state 0 means that it does not matter; in a read one, that
	// it is not known, since the kernel does not tell.
	Base int
	// Active, Inactive and Persistent count connections and the clients that
	// are bound; only a read state has them, and Stats.
	Active, Inactive, Persistent int
	Stats                        Stats
}

// Stats are counters since the entry was made, and estimated rates a second.
type Stats struct {
	Connections uint64 `json:"connections"`
	PacketsIn   uint64 `json:"packets_in"`
	PacketsOut  uint64 `json:"packets_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`

	ConnectionRate uint64 `json:"connection_rate"`
	PacketRateIn   uint64 `json:"packet_rate_in"`
	PacketRateOut  uint64 `json:"packet_rate_out"`
	ByteRateIn     uint64 `json:"byte_rate_in"`
	ByteRateOut    uint64 `json:"byte_rate_out"`
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

// byKey returns the services by their keys, for who looks for many of them.
func (s *State) byKey() map[Key]*VirtualService {
	m := make(map[Key]*VirtualService, len(s.Services))
	for i := range s.Services {
		m[s.Services[i].Key] = &s.Services[i]
	}
	return m
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
