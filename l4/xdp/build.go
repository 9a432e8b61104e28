package xdp

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"github.com/portico-lb/portico/l4/xdp/mh"
)

// A Build tells tables apart by what they were made of; 0 is no table.
type Build uint64

// A place is a server in a table: its backend's id, and what its rows follow.
type place struct {
	id     uint32
	server netip.AddrPort
	base   int
}

// build returns what a table of so many rows for servers in the kernel's
// order is made of.
func build(places []place, rows int) Build {
	h := fnv.New64a()
	put := func(n uint64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	put(uint64(rows))
	for _, p := range places {
		a := p.server.Addr().As16()
		h.Write(a[:])
		put(uint64(p.server.Port()))
		put(uint64(p.base))
		put(uint64(p.id))
	}
	return Build(max(1, h.Sum64()))
}

// table returns the rows, each the id of a backend or 0; nil for more servers
// than the kernel takes.
func table(places []place, rows int) []uint32 {
	dests := make([]mh.Dest, len(places))
	for i, p := range places {
		dests[i] = mh.Dest{Addr: p.server, LastWeight: p.base}
	}
	chosen := mh.Table(dests, rows)
	if chosen == nil {
		return nil
	}
	ids := make([]uint32, rows)
	for row, i := range chosen {
		if i != mh.Empty {
			ids[row] = places[i].id
		}
	}
	return ids
}
