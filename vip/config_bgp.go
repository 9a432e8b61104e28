package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/track"
)

// BGPSection is [vip.bgp].
type BGPSection struct {
	LocalAS         *int              `toml:"local_as"`
	RouterID        string            `toml:"router_id"`
	GracefulRestart string            `toml:"graceful_restart"`
	Communities     []string          `toml:"communities"`
	MED             *int              `toml:"med"`
	Neighbors       []NeighborSection `toml:"neighbors"`

	// Track nil is the default, and empty is nothing.
	Track []track.Section `toml:"track"`
}

// NeighborSection is one of the neighbors in [vip.bgp].
type NeighborSection struct {
	Address       string `toml:"address"`
	AS            *int   `toml:"as"`
	Port          *int   `toml:"port"`
	PasswordFile  string `toml:"password_file"`
	MultihopTTL   *int   `toml:"multihop_ttl"`
	HoldTime      string `toml:"hold_time"`
	BFD           bool   `toml:"bfd"`
	BFDInterval   string `toml:"bfd_interval"`
	BFDMultiplier *int   `toml:"bfd_multiplier"`
}

// BGP is how a group is announced to routers.
type BGP struct {
	LocalAS     uint32
	RouterID    netip.Addr    // invalid: the first IPv4 address of the interface
	Restart     time.Duration // 0: no graceful restart
	Communities []uint32
	MED         uint32 // 0: none
	Neighbors   []bgp.Neighbor
}

// Defaults. Short hold times and restarts suit neighbors on the same link and a
// service that systemd starts again within a second.
const (
	defaultRestart       = 30 * time.Second
	defaultHoldTime      = 9 * time.Second
	defaultBGPPort       = 179
	defaultBFDInterval   = 300 * time.Millisecond
	defaultBFDMultiplier = 3

	maxAS       = 1<<32 - 2 // RFC 7300
	maxMED      = 1<<32 - 1 // four octets
	maxPassword = 80        // TCP_MD5SIG_MAXKEYLEN, include/uapi/linux/tcp.h
	maxRestart  = 4095      // seconds, in twelve bits
	maxHoldTime = 65535     // seconds, in two octets
)

// bgp reads [vip.bgp].
func (p parser) bgp(s BGPSection) BGP {
	b := BGP{
		LocalAS: p.as("local_as", s.LocalAS),
		Restart: p.seconds("graceful_restart", s.GracefulRestart, defaultRestart, 0, maxRestart),
		MED:     uint32(p.number("med", s.MED, 0, 0, maxMED)),
	}
	if s.RouterID != "" {
		id, err := netip.ParseAddr(s.RouterID)
		if err != nil || !id.Is4() || id.IsUnspecified() {
			p.fault("router_id", "%q cannot identify a router: allowed are IPv4 addresses", s.RouterID)
		}
		b.RouterID = id
	}
	for i, c := range s.Communities {
		b.Communities = append(b.Communities, p.community(fmt.Sprintf("communities[%d]", i), c))
	}
	if len(s.Neighbors) == 0 {
		p.fault("neighbors", "missing: name the routers that are to hear of the addresses")
	}
	for i, n := range s.Neighbors {
		p := parser{key: fmt.Sprintf("%s.neighbors[%d]", p.key, i), bad: p.bad, readFile: p.readFile}
		neighbor := p.neighbor(n, b.LocalAS)
		if slices.ContainsFunc(b.Neighbors, func(o bgp.Neighbor) bool { return o.Address == neighbor.Address }) {
			p.fault("address", "%v stands in this list already: a router has one session", neighbor.Address)
			continue
		}
		b.Neighbors = append(b.Neighbors, neighbor)
	}
	return b
}

func (p parser) neighbor(s NeighborSection, local uint32) bgp.Neighbor {
	n := bgp.Neighbor{
		AS:       p.as("as", s.AS),
		Port:     uint16(p.number("port", s.Port, defaultBGPPort, 1, 65535)),
		Hops:     uint8(p.number("multihop_ttl", s.MultihopTTL, 1, 1, 255)),
		HoldTime: p.seconds("hold_time", s.HoldTime, defaultHoldTime, 3, maxHoldTime),
	}
	a, err := netip.ParseAddr(s.Address)
	if err != nil || a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() {
		p.fault("address", "%q is no router: allowed are unicast addresses without zone", s.Address)
	} else if a.IsLinkLocalUnicast() {
		p.fault("address", "%v is on every link: name the router's global address", a)
	}
	n.Address = a
	if s.MultihopTTL != nil && n.AS == local {
		p.fault("multihop_ttl", "has no effect on a router of the same AS, which may be any number of hops away: remove it")
	}
	if s.PasswordFile != "" {
		n.Password = p.sessionPassword(s.PasswordFile)
	}
	n.BFD = p.watch(s, n)
	return n
}

// watch reads how the line to the neighbor is watched.
func (p parser) watch(s NeighborSection, n bgp.Neighbor) (b bgp.BFD) {
	if !s.BFD {
		if s.BFDInterval != "" || s.BFDMultiplier != nil {
			p.fault("bfd", "missing: bfd_interval and bfd_multiplier have no effect without bfd = true")
		}
		return b
	}
	if n.Hops > 1 {
		p.fault("bfd", "watches one link, and multihop_ttl = %d says that the router is behind others: remove one of them", n.Hops)
	}
	b.Interval = defaultBFDInterval
	if s.BFDInterval != "" {
		d, err := time.ParseDuration(s.BFDInterval)
		if err != nil || d < 10*time.Millisecond || d > 10*time.Second {
			p.fault("bfd_interval", "%q is no interval: allowed are durations from 10ms to 10s", s.BFDInterval)
		}
		b.Interval = d
	}
	b.Multiplier = uint8(p.number("bfd_multiplier", s.BFDMultiplier, defaultBFDMultiplier, 1, 255))
	return b
}

func (p parser) as(key string, n *int) uint32 {
	if n == nil {
		p.fault(key, "missing: allowed are 1 to %d", maxAS)
		return 0
	}
	return uint32(p.number(key, n, 0, 1, maxAS))
}

// seconds reads a duration that the wire carries in whole seconds.
func (p parser) seconds(key, s string, otherwise time.Duration, low, high int) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil || d%time.Second != 0 || d < time.Duration(low)*time.Second || d > time.Duration(high)*time.Second {
		p.fault(key, "%q is not possible: allowed are whole seconds from %ds to %ds", s, low, high)
		return otherwise
	}
	return d
}

// wellKnown are the communities that have names (RFC 1997, RFC 7999, RFC 8326).
var wellKnown = map[string]uint32{
	"graceful-shutdown":   0xFFFF0000,
	"blackhole":           0xFFFF029A,
	"no-export":           0xFFFFFF01,
	"no-advertise":        0xFFFFFF02,
	"no-export-subconfed": 0xFFFFFF03,
}

func (p parser) community(key, s string) uint32 {
	if c, ok := wellKnown[s]; ok {
		return c
	}
	as, value, _ := strings.Cut(s, ":")
	high, err := strconv.ParseUint(as, 10, 16)
	low, err2 := strconv.ParseUint(value, 10, 16)
	if err != nil || err2 != nil {
		p.fault(key, `%q is no community: allowed are two numbers to 65535 ("64512:100") and names like "no-export"`, s)
	}
	return uint32(high<<16 | low)
}

// sessionPassword never says what it found.
func (p parser) sessionPassword(path string) bgp.Secret {
	b, err := p.readFile(path)
	if err != nil {
		p.fault("password_file", "%v", err)
		return ""
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" || len(text) > maxPassword {
		p.fault("password_file", "a password of %d bytes: allowed are 1 to %d", len(text), maxPassword)
	}
	return bgp.Secret(text)
}

// agree reports where groups contradict each other: they share one speaker, and
// with each router one session.
func agree(groups []Group, bad func(key, problem string)) {
	first := -1
	neighbors := map[netip.Addr]bgp.Neighbor{}
	place := map[netip.Addr]string{}
	for i, g := range groups {
		if g.Owner != OwnerBGP {
			continue
		}
		key := fmt.Sprintf("vip[%d].bgp", i)
		if first < 0 {
			first = i
		}
		for _, shared := range []struct {
			name string
			same bool
		}{
			{"local_as", g.BGP.LocalAS == groups[first].BGP.LocalAS},
			{"router_id", g.BGP.RouterID == groups[first].BGP.RouterID},
			{"graceful_restart", g.BGP.Restart == groups[first].BGP.Restart},
		} {
			if !shared.same {
				bad(key+"."+shared.name, fmt.Sprintf("differs from vip[%d].bgp.%s: all groups are announced by one speaker", first, shared.name))
			}
		}
		for j, n := range g.BGP.Neighbors {
			here := fmt.Sprintf("%s.neighbors[%d]", key, j)
			other, known := neighbors[n.Address]
			if known && other != n {
				bad(here, fmt.Sprintf("differs from %s: with %v there is one session", place[n.Address], n.Address))
			}
			if !known {
				neighbors[n.Address], place[n.Address] = n, here
			}
		}
	}
}
