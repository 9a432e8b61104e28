package l4

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// A Shield is what XDP drops before anything else is done for it. The zero
// Shield drops nothing.
type Shield struct {
	// Deny are the networks whose packets to a service are dropped.
	Deny []netip.Prefix
	// SYNRate is how many TCP connections a second a source may open on
	// average, 0 for any number, and SYNBurst how many at once. A source is an
	// IPv4 address or an IPv6 /64.
	SYNRate, SYNBurst int
	// NewFlows is how many new connections a second each processor remembers:
	// those above go by the table, which leads them to the same server unless
	// it changes. 0 is the program's own number.
	NewFlows int
	// SYNCookies is how many TCP connections a second a port may be asked for
	// before others are answered with cookies on the node that serves them, in
	// place of the kernel; 0 is never.
	SYNCookies int
}

// A ShieldSection is the [l4.shield] table.
type ShieldSection struct {
	Deny     []string `toml:"deny"`
	DenyFile string   `toml:"deny_file"`
	SYNRate  *int     `toml:"syn_rate"`
	SYNBurst *int     `toml:"syn_burst"`
	NewFlows *int     `toml:"new_flows"`
	Cookies  *int     `toml:"syn_cookies"`
}

// MaxDenied is how many networks may be denied at once (bpf/maps.h).
const MaxDenied = 65536

const (
	usualNewFlows = 100000
	// A file of MaxDenied networks with a comment each is smaller.
	maxDenyFile = 16 << 20
)

// shield returns what a table means beside a choice of dataplane.
func (p *parser) shield(key string, choice Choice, s *ShieldSection) Shield {
	if s == nil {
		return Shield{}
	}
	if choice == ByIPVS {
		p.fault(key, `stands beside dataplane = "ipvs", which drops nobody: it is XDP that does, by dataplane = "auto" or "xdp"`)
	}
	c := Shield{
		SYNRate:  p.number(key+".syn_rate", s.SYNRate, 0, 0, 1e6),
		NewFlows: p.number(key+".new_flows", s.NewFlows, usualNewFlows, 100, 1e8),

		SYNCookies: p.number(key+".syn_cookies", s.Cookies, 0, 0, 1e6),
	}
	if s.SYNBurst != nil && c.SYNRate == 0 {
		p.fault(key+".syn_burst", "stands without syn_rate, which it is the reserve of")
	}
	if c.SYNRate > 0 {
		c.SYNBurst = p.number(key+".syn_burst", s.SYNBurst, c.SYNRate, 1, 1e6)
	}
	known := map[netip.Prefix]bool{}
	for i, text := range s.Deny {
		at := fmt.Sprintf("%s.deny[%d]", key, i)
		if n, err := p.denied(text); err != nil {
			p.fault(at, "%v", err)
		} else {
			known[n] = true
		}
	}
	if s.DenyFile != "" {
		p.denyFile(key+".deny_file", s.DenyFile, known)
	}
	if len(known) > MaxDenied {
		p.fault(key, "%d networks are too many: allowed are %d", len(known), MaxDenied)
	}
	c.Deny = slices.SortedFunc(maps.Keys(known), netip.Prefix.Compare)
	return c
}

// denied reads a network, and refuses what would shut out everybody, or the
// node itself.
func (p *parser) denied(text string) (netip.Prefix, error) {
	n, err := ParseNetwork(text)
	switch {
	case err != nil:
		return n, err
	case n.Bits() == 0:
		return n, fmt.Errorf("%s is everybody: stop the service, or deny the networks that attack", n)
	case n.Addr().IsLoopback():
		return n, fmt.Errorf("%s is this node itself, whose packets XDP never sees", n)
	}
	for _, name := range slices.Sorted(maps.Keys(p.vips)) {
		for _, a := range p.vips[name] {
			if n.Contains(a) {
				return n, fmt.Errorf("%s holds %s, an address of the [[vip]] %q: write networks beside it", n, a, name)
			}
		}
	}
	return n, nil
}

// denyFile takes in a file with a network a line. "#" and ";" begin comments,
// as in the lists that are published.
func (p *parser) denyFile(key, path string, known map[netip.Prefix]bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		p.fault(key, "%v", err)
		return
	case !info.Mode().IsRegular() || info.Size() > maxDenyFile:
		p.fault(key, "%s is no file, or larger than %d MB", path, maxDenyFile>>20)
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		p.fault(key, "%v", err)
		return
	}
	for i, err := range p.denyList(string(text), known) {
		if i == 10 {
			p.fault(key, "%s has more faults like these", path)
			return
		}
		p.fault(key, "%s:%v", path, err)
	}
}

// denyList adds the networks of a file to those known, and returns its faults
// with their lines.
func (p *parser) denyList(text string, known map[netip.Prefix]bool) (faults []error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		n, err := p.denied(line)
		if err != nil {
			faults = append(faults, fmt.Errorf("%d: %w", number, err))
			continue
		}
		known[n] = true
	}
	return faults
}
