package ipvs

import (
	"math"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// flagHashed is IP_VS_SVC_F_HASHED: the kernel's own mark, no setting.
const flagHashed = 0x02

func fromService(s service) l4.VirtualService {
	v := l4.VirtualService{
		Key:       l4.Key{Protocol: l4.Protocol(s.protocol), Addr: s.addr},
		Scheduler: s.scheduler,
		Flags:     s.flags &^ flagHashed,
		Stats:     s.stats,
	}
	if s.mark != 0 {
		v.Key = l4.MarkKey(s.mark, s.family == unix.AF_INET6)
	}
	// Without persistence the kernel still keeps what a tool once sent.
	if v.Flags&l4.FlagPersistent != 0 {
		v.Persistence = time.Duration(s.timeout) * time.Second
		if s.prefix != v.Key.Addr.Addr().BitLen() {
			v.Prefix = s.prefix
		}
	}
	return v
}

func fromDestination(x destination) l4.Destination {
	return l4.Destination{
		Addr:       x.addr,
		Forward:    l4.Forward(x.forward),
		Encap:      l4.Encap{Type: l4.EncapType(x.tunType), Port: x.tunPort, Checksum: l4.Checksum(x.tunFlags)},
		Upper:      int(x.upper),
		Lower:      int(x.lower),
		Weight:     int(min(x.weight, math.MaxInt32)),
		Active:     int(x.active),
		Inactive:   int(x.inactive),
		Persistent: int(x.persistent),
		Stats:      x.stats,
	}
}

func toService(v l4.VirtualService) service {
	a := v.Key.Addr.Addr()
	s := service{
		family: familyOf(a), mark: v.Key.Mark, protocol: uint16(v.Key.Protocol), addr: v.Key.Addr,
		scheduler: v.Scheduler, flags: v.Flags, timeout: uint32(v.Persistence / time.Second),
		// Persistence alone looks at it, yet the kernel wants one.
		prefix: a.BitLen(),
	}
	if v.Prefix != 0 {
		s.prefix = v.Prefix
	}
	return s
}

func toDestination(d l4.Destination) destination {
	return destination{
		addr: d.Addr, forward: uint32(d.Forward), weight: uint32(d.Weight), upper: uint32(d.Upper), lower: uint32(d.Lower),
		tunType: uint8(d.Encap.Type), tunPort: d.Encap.Port, tunFlags: uint16(d.Encap.Checksum),
	}
}

// library returns the service as the library knows it.
func (s service) library() *ipvs.Service {
	return &ipvs.Service{
		AddressFamily: s.family, FWMark: s.mark, Protocol: s.protocol,
		Address: s.addr.Addr().AsSlice(), Port: s.addr.Port(),
		SchedName: s.scheduler, Flags: s.flags, Timeout: s.timeout, Netmask: s.netmask(), PEName: s.engine,
	}
}
