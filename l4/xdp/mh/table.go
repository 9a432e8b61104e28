package mh

import (
	"math/bits"
	"net/netip"
)

// A Dest is a server of a service, as far as the choice depends on it.
type Dest struct {
	// Addr is of the service's own family.
	Addr netip.AddrPort
	// Weight is 0 for a server that gets no new connections, also for one
	// that has reached its upper threshold.
	Weight int
	// LastWeight is what the rows follow: see "Last weight" above. It is
	// Weight wherever that is not 0. Neither is ever negative.
	LastWeight int
}

// Empty is a row without a server. Rows are empty all or none.
const Empty uint16 = 0xffff

// Table returns the table of size rows for servers in the kernel's order: of
// each row, the index of its server in dests. It returns nil if no kernel has
// a table of that size, or none with that many servers.
func Table(dests []Dest, size int) []uint16 {
	if weightBits(size) == 0 || len(dests) > min(size, int(Empty)) {
		return nil
	}
	table := make([]uint16, size)
	for row := range table {
		table[row] = Empty
	}
	places := preferences(dests, size)
	if len(places) == 0 {
		return table
	}
	for free := size; ; {
		for i := range places {
			p := &places[i]
			for range p.turns {
				row := p.next(table)
				table[row] = p.dest
				if free--; free == 0 {
					return table
				}
			}
		}
	}
}

// A preference is where a server has got to in its order of rows.
type preference struct {
	dest      uint16
	row, skip int
	// turns is how many rows the server takes in one round.
	turns int
}

// next steps on to the first row that is free. There must be one; since the
// size is prime, the steps come by all rows.
func (p *preference) next(table []uint16) int {
	for table[p.row] != Empty {
		if p.row += p.skip; p.row >= len(table) {
			p.row -= len(table)
		}
	}
	return p.row
}

// preferences returns those of the servers that have turns.
func preferences(dests []Dest, size int) []preference {
	gcd, shift := scale(dests, size)
	places := make([]preference, 0, len(dests))
	for i, d := range dests {
		if d.LastWeight <= 0 {
			continue
		}
		n := sum(d.Addr.Addr(), d.Addr.Port())
		places = append(places, preference{
			dest:  uint16(i),
			row:   int(hash(first, n) % uint32(size)),
			skip:  int(hash(second, n)%uint32(size-1)) + 1,
			turns: max(1, d.LastWeight/gcd>>shift),
		})
	}
	return places
}

// scale returns what weights are divided by: first gcd, then 1<<shift.
func scale(dests []Dest, size int) (gcd, shift int) {
	largest := 0
	for _, d := range dests {
		a, b := gcd, max(0, d.LastWeight)
		for b != 0 {
			a, b = b, a%b
		}
		gcd, largest = a, max(largest, d.LastWeight)
	}
	if gcd == 0 {
		return 0, 0
	}
	return gcd, max(0, bits.Len(uint(largest/gcd))-weightBits(size))
}
