package bgp

import (
	"net/netip"
	"time"
)

// Config is all that a Speaker says, and to whom.
type Config struct {
	AS       uint32     // ours; 0: there is nobody to speak to
	RouterID netip.Addr // an IPv4 address, unique among the routers
	// Restart is how long routers keep the routes of a process that died, in
	// whole seconds to 4095 (RFC 4724, section 3); 0: not at all.
	Restart   time.Duration
	Neighbors []Neighbor
	Routes    []Route
}

// Neighbor is a router. It is comparable; a change of any field begins a new
// session.
type Neighbor struct {
	Address  netip.Addr
	AS       uint32
	Port     uint16
	Password Secret        // of TCP MD5 (RFC 2385); empty: none
	Hops     uint8         // the TTL towards a router of another AS; 1: on the same link
	HoldTime time.Duration // whole seconds from 3
	BFD      BFD
}

// BFD says how the line to a neighbor is watched (RFC 5881); the zero value: it is not.
type BFD struct {
	Interval   time.Duration // between packets, in both directions
	Multiplier uint8         // as many lost in a row end the session
}

// Route is a virtual address that may be announced.
type Route struct {
	Prefix      netip.Prefix
	NextHop     netip.Addr // invalid: our address in each session
	MED         uint32     // 0: none
	Communities []uint32   // RFC 1997
	// To are the neighbors that may hear of it, Announced whether they do now.
	To        []netip.Addr
	Announced bool
}

// Secret is a password that shows itself to nobody.
type Secret string

// String keeps the secret from whatever is printed or logged.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString keeps it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps it from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
