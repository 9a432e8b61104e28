package l4test

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
)

// Parse reads text in the form of `ipvsadm -Sn`, as far as State.String
// writes it. Destinations are in the order of the text.
func Parse(t *testing.T, text string) l4.State {
	t.Helper()
	var s l4.State
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		k, rest := key(t, f[1:])
		switch f[0] {
		case "-A":
			s.Services = append(s.Services, service(t, k, rest))
		case "-a":
			v := s.Find(k)
			v.Destinations = append(v.Destinations, destination(t, rest))
		default:
			t.Fatalf("not a line of ipvsadm -Sn: %q", line)
		}
	}
	return s
}

// key reads what names a service, and returns what follows it.
func key(t *testing.T, f []string) (l4.Key, []string) {
	t.Helper()
	if f[0] == "-f" {
		mark := uint32(number(t, f[1]))
		if len(f) > 2 && f[2] == "-6" {
			return l4.MarkKey(mark, true), f[3:]
		}
		return l4.MarkKey(mark, false), f[2:]
	}
	protocols := map[string]l4.Protocol{"-t": l4.TCP, "-u": l4.UDP, "--sctp-service": l4.SCTP}
	return l4.Key{Protocol: protocols[f[0]], Addr: addrPort(t, f[1])}, f[2:]
}

// service reads what follows a service's name: -s and the options.
func service(t *testing.T, k l4.Key, f []string) l4.VirtualService {
	t.Helper()
	v := l4.VirtualService{Key: k, Scheduler: f[1]}
	for f = f[2:]; len(f) > 0; f = f[1:] {
		switch f[0] {
		case "-o":
			v.Flags |= l4.FlagOnePacket
			continue
		case "-p":
			v.Flags |= l4.FlagPersistent
			v.Persistence = time.Duration(number(t, f[1])) * time.Second
		case "-M":
			v.Prefix = prefix(t, f[1])
		case "-b":
			v.Flags |= flags(f[1])
		default:
			t.Fatalf("not an option of a service: %q", f[0])
		}
		f = f[1:]
	}
	return v
}

// prefix reads a netmask of IPv4 or a prefix length of IPv6.
func prefix(t *testing.T, s string) int {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		return number(t, s)
	}
	mask := a.As4()
	return bits.OnesCount32(binary.BigEndian.Uint32(mask[:]))
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addrPort(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func flags(names string) (set uint32) {
	if strings.Contains(names, "-fallback") {
		set |= l4.FlagFallback
	}
	if strings.Contains(names, "-port") {
		set |= l4.FlagPort
	}
	return set
}

// destination reads -r and what follows.
func destination(t *testing.T, f []string) l4.Destination {
	t.Helper()
	d := l4.Destination{
		Addr:    addrPort(t, f[1]),
		Forward: map[string]l4.Forward{"-g": l4.DirectRoute, "-i": l4.Tunnel, "-m": l4.Masquerade}[f[2]],
		Weight:  number(t, f[4]),
	}
	options := f[5:]
	for i, option := range options {
		switch option {
		case "--tun-type":
			d.Encap.Type = map[string]l4.EncapType{"ipip": l4.IPIP, "gue": l4.GUE, "gre": l4.GRE}[options[i+1]]
		case "--tun-port":
			d.Encap.Port = uint16(number(t, options[i+1]))
		case "--tun-csum":
			d.Encap.Checksum = l4.FullChecksum
		case "--tun-remcsum":
			d.Encap.Checksum = l4.RemoteChecksum
		}
	}
	return d
}

// blocks cuts text into services: the line of each, and the lines of its
// destinations.
func blocks(text string) map[string][]string {
	m := map[string][]string{}
	service := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "-A"):
			service = line
			m[service] = nil
		default:
			m[service] = append(m[service], line)
		}
	}
	return m
}

func sorted(m map[string][]string) map[string][]string {
	for _, lines := range m {
		slices.Sort(lines)
	}
	return m
}
