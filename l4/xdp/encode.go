package xdp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// Bits of bpf/maps.h.
const (
	servicePort     = 1
	serviceFallback = 2

	backendScheduled = 1
	backendLocal     = 2
	backendResolved  = 4

	backendBits = 14
)

// What the program holds as it came from the wire is in network order, whatever
// the machine's.
var wire = binary.NativeEndian

func address(a netip.Addr) bpf.L4Address {
	b := a.As16()
	var out bpf.L4Address
	for i := range out.Word {
		out.Word[i] = wire.Uint32(b[4*i:])
	}
	return out
}

func fromAddress(a bpf.L4Address) netip.Addr {
	var b [16]byte
	for i, w := range a.Word {
		wire.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b).Unmap()
}

func port(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return wire.Uint16(b[:])
}

func toMAC(m MAC) bpf.L4Mac {
	var out bpf.L4Mac
	for i := range out.Word {
		out.Word[i] = wire.Uint16(m[2*i:])
	}
	return out
}

func fromMAC(m bpf.L4Mac) (out MAC) {
	for i, w := range m.Word {
		wire.PutUint16(out[2*i:], w)
	}
	return out
}

func toKey(k l4.Key) bpf.L4ServiceKey {
	return bpf.L4ServiceKey{Addr: address(k.Addr.Addr()), Port: port(k.Addr.Port()), Protocol: uint8(k.Protocol)}
}

func fromKey(k bpf.L4ServiceKey) l4.Key {
	return l4.Key{Protocol: l4.Protocol(k.Protocol), Addr: netip.AddrPortFrom(fromAddress(k.Addr), port(k.Port))}
}

func toService(s Service) bpf.L4Service {
	out := bpf.L4Service{Id: s.ID}
	if s.Flags&l4.FlagPort != 0 {
		out.Flags |= servicePort
	}
	if s.Flags&l4.FlagFallback != 0 {
		out.Flags |= serviceFallback
	}
	return out
}

func fromService(s bpf.L4Service) Service {
	out := Service{ID: s.Id}
	if s.Flags&servicePort != 0 {
		out.Flags |= l4.FlagPort
	}
	if s.Flags&serviceFallback != 0 {
		out.Flags |= l4.FlagFallback
	}
	return out
}

// seenUnit is that of a flow's time: the program shifts where it would divide.
const seenUnit = 1 << 30 * time.Nanosecond

// toFlow is a connection to a backend, whose latest packet came now.
func toFlow(id uint32, b Backend, now uint64) bpf.L4Flow {
	return bpf.L4Flow{Tenancy: b.Generation<<backendBits | id, Seen: uint32(now / uint64(seenUnit))}
}

// fromFlow returns the id of a connection's backend, if that is still the one
// which the connection began with.
func fromFlow(f bpf.L4Flow, backends map[uint32]Backend) (id uint32, ok bool) {
	id = f.Tenancy & (1<<backendBits - 1)
	b, ok := backends[id]
	return id, ok && b.Generation<<backendBits|id == f.Tenancy
}

// A tenant is what user space has to know of a backend and the program does
// not: the value of a map that the program never sees.
type tenant struct {
	Server       [16]byte
	Service      uint32
	Weight, Base uint32
	Port, Place  uint16
}

func toTenant(b Backend) tenant {
	return tenant{Server: b.Server.Addr().As16(), Port: b.Server.Port(), Place: uint16(b.Place), Service: b.Service, Weight: uint32(b.Weight), Base: uint32(b.Base)}
}

func toBackend(b Backend) bpf.L4Backend {
	out := bpf.L4Backend{Generation: b.Generation, Mac: toMAC(b.Hop.MAC), Ifindex: uint32(b.Hop.Link), Vlans: uint32(b.Hop.VLAN)}
	if b.Weight > 0 {
		out.Flags |= backendScheduled
	}
	if b.Hop.Local {
		out.Flags |= backendLocal
	}
	if b.Hop.resolved() {
		out.Flags |= backendResolved
	}
	return out
}

func fromBackend(t tenant, b bpf.L4Backend) Backend {
	out := Backend{
		Service: t.Service, Server: netip.AddrPortFrom(netip.AddrFrom16(t.Server).Unmap(), t.Port),
		Place: int(t.Place), Weight: int(t.Weight), Base: int(t.Base), Generation: b.Generation,
		Hop: Hop{Local: b.Flags&backendLocal != 0, Link: int(b.Ifindex), VLAN: int(b.Vlans), MAC: fromMAC(b.Mac)},
	}
	if (b.Flags&backendScheduled != 0) != (t.Weight > 0) {
		out.Weight = -1 // somebody else has written it: no plan wants that
	}
	return out
}
