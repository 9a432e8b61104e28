package ipvs

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// The generic netlink family of IPVS, version 1: its commands and attributes
// (include/uapi/linux/ip_vs.h).
const (
	cmdNewService = 1
	cmdGetService = 4
	cmdNewDest    = 5
	cmdSetDest    = 6
	cmdDelDest    = 7
	cmdGetDest    = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11

	attrService = 1
	attrDest    = 2
	attrDaemon  = 3

	svcFamily   = 1
	svcProtocol = 2
	svcAddr     = 3
	svcPort     = 4
	svcMark     = 5
	svcSched    = 6
	svcFlags    = 7
	svcTimeout  = 8
	svcNetmask  = 9
	svcStats    = 10
	svcEngine   = 11
	svcStats64  = 12

	destAddr       = 1
	destPort       = 2
	destForward    = 3
	destWeight     = 4
	destUpper      = 5
	destLower      = 6
	destActive     = 7
	destInactive   = 8
	destPersistent = 9
	destStats      = 10
	destFamily     = 11
	destStats64    = 12
	destTunType    = 13
	destTunPort    = 14
	destTunFlags   = 15
)

// A service is a virtual service on the wire.
type service struct {
	family   uint16 // unix.AF_INET or AF_INET6
	mark     uint32 // not 0: by firewall mark, and without protocol and addr
	protocol uint16
	addr     netip.AddrPort

	scheduler string
	flags     uint32
	// timeout is that of persistence, in seconds; prefix is how much of a
	// client's address counts for it, in bits.
	timeout uint32
	prefix  int
	engine  string // of persistence, "sip" or none
	stats   l4.Stats
}

// A destination is a server on the wire.
type destination struct {
	addr     netip.AddrPort // its family may differ from the service's
	forward  uint32
	weight   uint32
	upper    uint32 // connections at which it gets no more, 0 is off
	lower    uint32 // and below which it does again
	tunType  uint8  // 0 ipip, 1 gue, 2 gre
	tunPort  uint16 // of gue
	tunFlags uint16 // 0 no checksum, 1 checksum, 2 remote checksum offload

	active, inactive, persistent uint32
	stats                        l4.Stats
}

// fields are the counters in the order of IPVS_STATS_ATTR_*, from 1.
func fields(s *l4.Stats) [10]*uint64 {
	return [...]*uint64{
		&s.Connections, &s.PacketsIn, &s.PacketsOut, &s.BytesIn, &s.BytesOut,
		&s.ConnectionRate, &s.PacketRateIn, &s.PacketRateOut, &s.ByteRateIn, &s.ByteRateOut,
	}
}

// key encodes what identifies the service.
func (s service) key(e *netlink.AttributeEncoder) {
	e.Uint16(svcFamily, s.family)
	if s.mark != 0 {
		e.Uint32(svcMark, s.mark)
		return
	}
	e.Uint16(svcProtocol, s.protocol)
	e.Bytes(svcAddr, union(s.addr.Addr()))
	e.Bytes(svcPort, bigEndian(s.addr.Port()))
}

// encode encodes all that can be set.
func (s service) encode(e *netlink.AttributeEncoder) {
	s.key(e)
	e.String(svcSched, s.scheduler)
	if s.engine != "" {
		e.String(svcEngine, s.engine)
	}
	flags := binary.NativeEndian.AppendUint32(nil, s.flags)
	e.Bytes(svcFlags, binary.NativeEndian.AppendUint32(flags, ^uint32(0))) // and the mask of those meant
	e.Uint32(svcTimeout, s.timeout)
	e.Uint32(svcNetmask, s.netmask())
}

// netmask is a mask in network byte order for IPv4 and the length of a prefix
// for IPv6.
func (s service) netmask() uint32 {
	if s.family == unix.AF_INET6 {
		return uint32(s.prefix)
	}
	mask := ^uint32(0) << (32 - s.prefix)
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, mask))
}

func (s *service) setNetmask(raw uint32) {
	s.prefix = int(raw)
	if s.family == unix.AF_INET {
		mask := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, raw))
		for s.prefix = 0; mask<<s.prefix != 0; s.prefix++ {
		}
	}
}

// decodeService decodes the nest of attributes of one service.
func decodeService(d *netlink.AttributeDecoder) (s service, err error) {
	var addr []byte
	var port uint16
	var netmask uint32
	var narrow, wide []byte
	for d.Next() {
		switch d.Type() {
		case svcFamily:
			s.family = d.Uint16()
		case svcProtocol:
			s.protocol = d.Uint16()
		case svcAddr:
			addr = d.Bytes()
		case svcPort:
			port = portOf(d.Bytes())
		case svcMark:
			s.mark = d.Uint32()
		case svcSched:
			s.scheduler = d.String()
		case svcFlags:
			if b := d.Bytes(); len(b) >= 4 {
				s.flags = binary.NativeEndian.Uint32(b)
			}
		case svcTimeout:
			s.timeout = d.Uint32()
		case svcNetmask:
			netmask = d.Uint32()
		case svcEngine:
			s.engine = d.String()
		case svcStats:
			d.Do(keep(&narrow))
		case svcStats64:
			d.Do(keep(&wide))
		}
	}
	if err := d.Err(); err != nil {
		return service{}, err
	}
	if s.stats, err = stats(narrow, wide); err != nil {
		return service{}, err
	}
	s.setNetmask(netmask)
	if s.mark == 0 {
		s.addr, err = address(s.family, addr, port)
	}
	return s, err
}

// key encodes what identifies the server within its service.
func (x destination) key(e *netlink.AttributeEncoder) {
	e.Uint16(destFamily, familyOf(x.addr.Addr()))
	e.Bytes(destAddr, union(x.addr.Addr()))
	e.Bytes(destPort, bigEndian(x.addr.Port()))
}

// encode encodes all that can be set.
func (x destination) encode(e *netlink.AttributeEncoder) {
	x.key(e)
	e.Uint32(destForward, x.forward)
	e.Uint32(destWeight, x.weight)
	e.Uint32(destUpper, x.upper)
	e.Uint32(destLower, x.lower)
	e.Uint8(destTunType, x.tunType)
	e.Bytes(destTunPort, bigEndian(x.tunPort))
	e.Uint16(destTunFlags, x.tunFlags)
}

// decodeDestination decodes the nest of attributes of one server. family is
// the service's, for kernels before 3.18, which do not tell the server's.
func decodeDestination(d *netlink.AttributeDecoder, family uint16) (x destination, err error) {
	var addr []byte
	var port uint16
	var narrow, wide []byte
	for d.Next() {
		switch d.Type() {
		case destAddr:
			addr = d.Bytes()
		case destPort:
			port = portOf(d.Bytes())
		case destForward:
			x.forward = d.Uint32() & forwardMask
		case destWeight:
			x.weight = d.Uint32()
		case destUpper:
			x.upper = d.Uint32()
		case destLower:
			x.lower = d.Uint32()
		case destActive:
			x.active = d.Uint32()
		case destInactive:
			x.inactive = d.Uint32()
		case destPersistent:
			x.persistent = d.Uint32()
		case destFamily:
			family = d.Uint16()
		case destTunType:
			x.tunType = d.Uint8()
		case destTunPort:
			x.tunPort = portOf(d.Bytes())
		case destTunFlags:
			x.tunFlags = d.Uint16()
		case destStats:
			d.Do(keep(&narrow))
		case destStats64:
			d.Do(keep(&wide))
		}
	}
	if err := d.Err(); err != nil {
		return destination{}, err
	}
	if x.stats, err = stats(narrow, wide); err != nil {
		return destination{}, err
	}
	x.addr, err = address(family, addr, port)
	return x, err
}

// forwardMask is IP_VS_CONN_F_FWD_MASK.
const forwardMask = 7

// decode64 reads IPVS_*_ATTR_STATS64, known since Linux 4.1.
func decode64(d *netlink.AttributeDecoder, s *l4.Stats) {
	fields := fields(s)
	for d.Next() {
		if i := int(d.Type()) - 1; 0 <= i && i < len(fields) {
			*fields[i] = d.Uint64()
		}
	}
}

// decode32 reads IPVS_*_ATTR_STATS: bytes are 64 bits wide in it too.
func decode32(d *netlink.AttributeDecoder, s *l4.Stats) {
	fields := fields(s)
	for d.Next() {
		i := int(d.Type()) - 1
		if i < 0 || i >= len(fields) {
			continue
		}
		if f := fields[i]; f == &s.BytesIn || f == &s.BytesOut {
			*f = d.Uint64()
		} else {
			*f = uint64(d.Uint32())
		}
	}
}

// keep remembers the bytes of an attribute, for as long as the message is there.
func keep(to *[]byte) func([]byte) error {
	return func(b []byte) error {
		*to = b
		return nil
	}
}

// stats decodes the counters that do not wrap where the kernel has sent them,
// and the others where not. It mostly sends both, for every server.
func stats(narrow, wide []byte) (s l4.Stats, err error) {
	raw, decode := wide, decode64
	if wide == nil {
		raw, decode = narrow, decode32
	}
	d, err := netlink.NewAttributeDecoder(raw)
	if err != nil {
		return s, err
	}
	decode(d, &s)
	return s, d.Err()
}

func familyOf(a netip.Addr) uint16 {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// union is an address as union nf_inet_addr: 16 bytes, of which IPv4 uses the
// first 4.
func union(a netip.Addr) []byte {
	b := make([]byte, 16)
	copy(b, a.AsSlice())
	return b
}

func address(family uint16, b []byte, port uint16) (netip.AddrPort, error) {
	switch {
	case family == unix.AF_INET && len(b) >= 4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), port), nil
	case family == unix.AF_INET6 && len(b) >= 16:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("an address of family %d in %d bytes", family, len(b))
}

func bigEndian(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// portOf is the inverse of bigEndian; what is too short is no port.
func portOf(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}
