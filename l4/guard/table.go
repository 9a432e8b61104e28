package guard

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/l4"
)

// A MAC is an Ethernet address.
type MAC [6]byte

// String returns "02:00:00:00:00:01".
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText is String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of String.
func (m *MAC) UnmarshalText(text []byte) error {
	hw, err := net.ParseMAC(string(text))
	if err != nil {
		return err
	}
	if len(hw) != len(m) {
		return &net.AddrError{Err: "not an Ethernet address", Addr: string(text)}
	}
	*m = MAC(hw)
	return nil
}

func (m MAC) compare(o MAC) int { return slices.Compare(m[:], o[:]) }

// A Service is what packets are kept from being balanced twice.
type Service struct {
	Protocol l4.Protocol
	Addr     netip.AddrPort
}

func (s Service) compare(o Service) int {
	return cmp.Or(cmp.Compare(s.Protocol, o.Protocol), s.Addr.Compare(o.Addr))
}

// A Table is what the guard goes by: frames of Peers to Services stay here.
// Both are sorted, and nothing stands twice.
type Table struct {
	Peers    []MAC
	Services []Service
}

// A State is what the kernel has of the table.
type State struct {
	Table
	// Stands tells whether there is a table of our name, Whole whether its
	// chains and rules are as they were made.
	Stands, Whole bool
	// Packets counts those that were kept here since the table was made.
	Packets uint64
}

// A Change turns a State into a wanted Table, in one transaction: packets meet
// the old table or the new.
type Change struct {
	// Delete removes the table, Create makes it anew thereafter.
	Delete, Create bool
	// Remove and Add are members of its sets.
	Remove, Add Table
}

// None reports whether there is nothing to do.
func (c Change) None() bool {
	return !c.Delete && !c.Create && c.Remove.empty() && c.Add.empty()
}

func (t Table) empty() bool { return len(t.Peers) == 0 && len(t.Services) == 0 }

// Diff returns what turns have into want. Without services there is no table:
// it would cost every packet that comes in, for nothing.
func Diff(have State, want Table) Change {
	switch {
	case len(want.Services) == 0:
		return Change{Delete: have.Stands}
	case !have.Whole:
		return Change{Delete: have.Stands, Create: true, Add: want}
	}
	return Change{Remove: have.minus(want), Add: want.minus(have.Table)}
}

func (t Table) minus(o Table) Table {
	return Table{
		Peers:    slices.DeleteFunc(slices.Clone(t.Peers), func(m MAC) bool { return slices.Contains(o.Peers, m) }),
		Services: minus(t.Services, o.Services),
	}
}

// minus returns the members of a that are not in b.
func minus(a, b []Service) []Service {
	return slices.DeleteFunc(slices.Clone(a), func(s Service) bool {
		_, found := slices.BinarySearchFunc(b, s, Service.compare)
		return found
	})
}
