package l4test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l4"
)

// Parse reads text in the form of `ipvsadm -Sn`, as far as State.String
// writes it. Destinations are in the order of the text.
func Parse(t *testing.T, text string) l4.State {
	t.Helper()
	var s l4.State
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "-A":
			v := l4.VirtualService{Key: key(t, f[1], f[2]), Scheduler: f[4]}
			if len(f) == 7 {
				v.Flags = flags(f[6])
			}
			s.Services = append(s.Services, v)
		case f[0] == "-a":
			v := s.Find(key(t, f[1], f[2]))
			v.Destinations = append(v.Destinations, destination(t, f[4:]))
		default:
			t.Fatalf("not a line of ipvsadm -Sn: %q", line)
		}
	}
	return s
}

func key(t *testing.T, option, addr string) l4.Key {
	t.Helper()
	k := l4.Key{Protocol: l4.TCP, Addr: addrPort(t, addr)}
	if option == "-u" {
		k.Protocol = l4.UDP
	}
	return k
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

// destination reads what follows -r.
func destination(t *testing.T, f []string) l4.Destination {
	t.Helper()
	weight, err := strconv.Atoi(f[3])
	if err != nil {
		t.Fatal(err)
	}
	forward := map[string]l4.Forward{"-g": l4.DirectRoute, "-i": l4.Tunnel, "-m": l4.Masquerade}[f[1]]
	return l4.Destination{Addr: addrPort(t, f[0]), Forward: forward, Weight: weight}
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
