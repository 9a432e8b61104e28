package l4

import (
	"cmp"
	"net/netip"
)

// A SyncSection is the [l4.sync] table.
type SyncSection struct {
	// Interface is that of the node where it is empty; whoever reads the file
	// fills it in.
	Interface string `toml:"interface"`
	ID        int    `toml:"id"`
	Group     string `toml:"group"`
	Port      *int   `toml:"port"`
	TTL       *int   `toml:"ttl"`
	MaxLen    *int   `toml:"max_len"`
}

// The kernel's own values for what is not said (ip_vs_sync.h, ip_vs_sync.c).
const (
	syncPort = 8848
	syncTTL  = 1
)

var syncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// sync returns what a table means; nil is no sync.
func (p *parser) sync(key string, s *SyncSection, services []Service) Daemon {
	if s == nil {
		return Daemon{}
	}
	d := Daemon{Interface: s.Interface, ID: s.ID, Group: syncGroup, MaxLen: p.number(key+".max_len", s.MaxLen, 0, 1024, 65487)}
	d.Port = uint16(p.number(key+".port", s.Port, syncPort, 1, 65535))
	d.TTL = uint8(p.number(key+".ttl", s.TTL, syncTTL, 1, 255))
	if s.Interface == "" {
		p.fault(key+".interface", "is missing: name the one that carries the connections of the others")
	}
	// A backup with the id 0 would listen to directors of every id.
	if s.ID < 1 || s.ID > 255 {
		p.fault(key+".id", "%d is out of range: allowed are 1 to 255, the same on all nodes of this edge and on no other's", s.ID)
	}
	if s.Group != "" {
		a, err := netip.ParseAddr(s.Group)
		if err != nil || !a.IsMulticast() || a.Zone() != "" {
			p.fault(key+".group", "%q is not a multicast address", s.Group)
		}
		d.Group = a
	}
	for _, service := range services {
		if service.mixed() {
			p.fault(key, "stands beside the service %q, which tunnels to servers of another family: the kernel cannot tell of such connections", service.Name)
		}
	}
	return d
}

// number returns the number at a key, or def where there is none.
func (p *parser) number(key string, n *int, def, low, high int) int {
	v := *cmp.Or(n, &def)
	if n != nil && (v < low || v > high) {
		p.fault(key, "%d is out of range: allowed are %d to %d", v, low, high)
	}
	return v
}

// mixed reports whether an address of s is balanced over servers of the other
// family.
func (s Service) mixed() bool {
	for _, a := range s.Addrs {
		for _, r := range s.servers(a) {
			if r.Addr.Addr().Is4() != a.Is4() {
				return true
			}
		}
	}
	return false
}
