package ipvs

import (
	"math"
	"net/netip"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// flagHashed is IP_VS_SVC_F_HASHED: the kernel's own mark, no setting.
const flagHashed = 0x02

func fromService(s *ipvs.Service) l4.VirtualService {
	addr, _ := netip.AddrFromSlice(s.Address)
	return l4.VirtualService{
		Key:       l4.Key{Protocol: l4.Protocol(s.Protocol), Addr: netip.AddrPortFrom(addr, s.Port)},
		Scheduler: s.SchedName,
		Flags:     s.Flags &^ flagHashed,
	}
}

func fromDestination(d *ipvs.Destination) l4.Destination {
	addr, _ := netip.AddrFromSlice(d.Address)
	return l4.Destination{
		Addr:     netip.AddrPortFrom(addr, d.Port),
		Forward:  l4.Forward(d.ConnectionFlags & ipvs.ConnectionFlagFwdMask),
		Weight:   d.Weight,
		Active:   d.ActiveConnections,
		Inactive: d.InactiveConnections,
	}
}

func toService(v l4.VirtualService) *ipvs.Service {
	s := &ipvs.Service{
		Address:       v.Key.Addr.Addr().AsSlice(),
		Port:          v.Key.Addr.Port(),
		Protocol:      uint16(v.Key.Protocol),
		SchedName:     v.Scheduler,
		Flags:         v.Flags,
		AddressFamily: unix.AF_INET,
		// Persistence alone looks at the netmask, yet the kernel wants one:
		// a mask for IPv4, the length of a prefix for IPv6.
		Netmask: math.MaxUint32,
	}
	if v.Key.Addr.Addr().Is6() {
		s.AddressFamily, s.Netmask = unix.AF_INET6, 128
	}
	return s
}

func toDestination(d l4.Destination) *ipvs.Destination {
	return &ipvs.Destination{
		Address:         d.Addr.Addr().AsSlice(),
		Port:            d.Addr.Port(),
		Weight:          d.Weight,
		ConnectionFlags: uint32(d.Forward),
	}
}
