package l4

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// String prints the services as `ipvsadm -Sn` does, destinations in the
// dataplane's order. Thresholds are not in it, as they are not in the tool's.
func (s State) String() string {
	var b strings.Builder
	services := slices.SortedFunc(slices.Values(s.Services), func(a, b VirtualService) int { return a.Key.Compare(b.Key) })
	for _, v := range services {
		fmt.Fprintf(&b, "-A %s -s %s%s\n", v.Key.option(), v.Scheduler, v.options())
		for _, d := range v.Destinations {
			fmt.Fprintf(&b, "-a %s -r %s %s -w %d%s\n", v.Key.option(), d.Addr, d.Forward.option(), d.Weight, d.encapOptions())
		}
	}
	return b.String()
}

func (k Key) option() string {
	switch {
	case k.Mark != 0 && k.Addr.Addr().Is6():
		return fmt.Sprintf("-f %d -6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("-f %d", k.Mark)
	case k.Protocol == UDP:
		return "-u " + k.Addr.String()
	case k.Protocol == SCTP:
		return "--sctp-service " + k.Addr.String()
	}
	return "-t " + k.Addr.String()
}

// options are those of a service behind its scheduler.
func (v VirtualService) options() string {
	var b strings.Builder
	if v.Persistence > 0 {
		fmt.Fprintf(&b, " -p %d", int(v.Persistence.Seconds()))
		if v.Prefix > 0 {
			b.WriteString(" -M " + v.mask())
		}
	}
	if v.Flags&FlagOnePacket != 0 {
		b.WriteString(" -o")
	}
	names := []string{"flag-1", "flag-2"}
	if ordered(v.Scheduler) {
		names = []string{v.Scheduler + "-fallback", v.Scheduler + "-port"}
	}
	var set []string
	for i, f := range []uint32{FlagFallback, FlagPort} {
		if v.Flags&f != 0 {
			set = append(set, names[i])
		}
	}
	if set != nil {
		b.WriteString(" -b " + strings.Join(set, ","))
	}
	return b.String()
}

// mask is "255.255.255.0" for 24 bits of IPv4 and "64" for 64 of IPv6.
func (v VirtualService) mask() string {
	if v.Key.Addr.Addr().Is6() {
		return strconv.Itoa(v.Prefix)
	}
	mask := ^uint32(0) << (32 - v.Prefix)
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
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

func (d Destination) encapOptions() string {
	if d.Forward != Tunnel {
		return ""
	}
	if d.Encap.Type == IPIP {
		return " --tun-type ipip"
	}
	text := " --tun-type gre"
	if d.Encap.Type == GUE {
		text = fmt.Sprintf(" --tun-type gue --tun-port %d", d.Encap.Port)
	}
	switch d.Encap.Checksum {
	case FullChecksum:
		return text + " --tun-csum"
	case RemoteChecksum:
		return text + " --tun-remcsum"
	}
	return text + " --tun-nocsum"
}
