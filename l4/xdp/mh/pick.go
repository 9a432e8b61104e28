package mh

import "net/netip"

// Row returns the row, below size, of a client's address and port; port is 0
// for a service without mh-port. offset is 0 for the first choice; for the
// others see Pick. size must be one that Table takes.
func Row(src netip.Addr, port uint16, offset uint32, size int) uint32 {
	return hash(first, sum(src, port)+offset) % uint32(size)
}

// Pick returns the index in dests of the server that IPVS chooses for a
// client; ok is false if it refuses the packet. table is Table's for the same
// dests, port 0 for a service without mh-port, and fallback says whether the
// service has mh-fallback.
func Pick(table []uint16, dests []Dest, src netip.Addr, port uint16, fallback bool) (index int, ok bool) {
	size := len(table)
	if size == 0 {
		return 0, false
	}
	row := Row(src, port, 0, size)
	i := table[row]
	if i == Empty {
		return 0, false
	}
	if dests[i].Weight > 0 {
		return int(i), true
	}
	if !fallback {
		return 0, false
	}
	for n := range uint32(size) {
		offset := (row + n) % uint32(size)
		if i := table[Row(src, port, offset, size)]; dests[i].Weight > 0 {
			return int(i), true
		}
	}
	return 0, false
}
