package l4

import (
	"fmt"
	"net/netip"
)

// mapped is where IPv4 stands within IPv6 (RFC 4291, 2.5.5.2), and in the keys
// of XDP's program.
var mapped = netip.MustParseAddr("::ffff:0:0")

// ParseNetwork reads a network of clients, as "192.0.2.0/24", or an address,
// which is a network of its own.
func ParseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if a, notAddr := netip.ParseAddr(s); notAddr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return p, fmt.Errorf(`%q is no address and no network: write one like "192.0.2.0/24"`, s)
	case p.Addr().Is4In6() && p.Bits() >= 96:
		return p, fmt.Errorf("%s is IPv4 within IPv6: write %s", s, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits beyond its length: write %s", s, p.Masked())
	case p.Contains(mapped):
		return p, fmt.Errorf("%s holds all of IPv4 as well, at %s/96: write 2000::/3, where the Internet's addresses are", s, mapped)
	}
	return p, nil
}
