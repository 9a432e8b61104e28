package xdp

import (
	"fmt"
	"net/netip"

	"github.com/portico-lb/portico/l4"
)

// Room of the maps (bpf/maps.h); the id 0 means nobody in the first two.
const (
	maxServices = 4095
	maxBackends = 16383
	maxIndex    = 4095 // of an interface
)

// A World is what a plan follows beside the wanted services.
type World struct {
	// Hops tell where the servers are; one that is not there is unknown.
	Hops map[netip.Addr]Hop
	// Interfaces are those that the program is to run on, by index.
	Interfaces map[int]MAC
	// Generic are those of them that have it in the kernel's generic mode.
	Generic map[int]bool
	// Peers are the other directors. What comes from them was balanced.
	Peers []MAC
	// Rows is the size of a table.
	Rows int
}

// A plan is what the maps should hold.
type plan struct {
	Holding
	// places are the servers of each service, by its id, in the kernel's order.
	places map[uint32][]place
	// ids are those of the backends.
	ids  map[server]uint32
	rows int // of a table
	// why tells of the services that are not in it.
	why map[l4.Key]string
}

// newPlan says what the maps should hold for the services that l4 wants. A
// service that stands, and a server in it, keep their ids; others get ids
// that are free. An id that has served another before comes with a generation
// of its own, so that no connection of the one before is taken for its.
func newPlan(want l4.State, have Holding, w World) plan {
	p := plan{Holding: newHolding(), places: map[uint32][]place{}, ids: map[server]uint32{}, rows: w.Rows, why: map[l4.Key]string{}}
	p.Interfaces, p.Generation = w.Interfaces, have.Generation
	for _, m := range w.Peers {
		p.Peers[m] = true
	}
	ids := newAllocator(have)
	for _, v := range want.Services {
		if p.why[v.Key] = unable(v); p.why[v.Key] != "" {
			continue
		}
		if err := p.add(v, have, w, ids); err != nil {
			p.why[v.Key] = err.Error()
			continue
		}
		delete(p.why, v.Key)
	}
	return p
}

// add takes in one service, whole or not at all.
func (p *plan) add(v l4.VirtualService, have Holding, w World, ids *allocator) error {
	if len(v.Destinations) > w.Rows {
		return fmt.Errorf("more than %d servers", w.Rows)
	}
	if len(ids.taken)+ids.fresh(v, have) > maxBackends {
		return fmt.Errorf("more than %d servers in all", maxBackends)
	}
	s, stands := have.Services[v.Key]
	if !stands {
		if s.ID = ids.service(); s.ID == 0 {
			return fmt.Errorf("more than %d services", maxServices)
		}
	}
	s.Flags = v.Flags
	var places []place
	for i, d := range v.Destinations {
		id := ids.known[server{s.ID, d.Addr}]
		b := have.Backends[id]
		if id == 0 {
			id = ids.backend()
			p.Generation++
			b = Backend{Service: s.ID, Server: d.Addr, Generation: p.Generation}
		}
		b.Place, b.Weight, b.Base, b.Hop = i, d.Weight, base(d, b), w.hop(d.Addr.Addr())
		p.Backends[id], p.ids[server{s.ID, d.Addr}] = b, id
		places = append(places, place{id, d.Addr, b.Base})
	}
	p.Services[v.Key], p.places[s.ID], p.Builds[s.ID] = s, places, build(places, w.Rows)
	return nil
}

// base is what the rows of a server follow: its weight, or without one the
// latest that it had, which l4 knows of servers that are configured, and the
// maps of one that left the configuration and drains.
func base(d l4.Destination, have Backend) int {
	switch {
	case d.Weight > 0:
		return d.Weight
	case d.Base > 0:
		return d.Base
	}
	return have.Base
}

// hop returns where frames to an address go. One that leaves by an interface
// which the program does not run on is left to the kernel. So is one that
// leaves by a generic interface, where others are native: what a driver sends
// there (bpf_redirect) is lost without a word.
func (w World) hop(a netip.Addr) Hop {
	h := w.Hops[a]
	_, ours := w.Interfaces[h.Link]
	mixed := len(w.Generic) < len(w.Interfaces)
	if !h.Local && (!ours || mixed && w.Generic[h.Link]) {
		return Hop{}
	}
	return h
}

// A server is one of one service.
type server struct {
	service uint32
	addr    netip.AddrPort
}

// An allocator gives ids that nobody has: neither in the maps, nor in the plan.
type allocator struct {
	known              map[server]uint32
	services, taken    map[uint32]bool
	nextService, nextB uint32
}

func newAllocator(have Holding) *allocator {
	a := &allocator{known: map[server]uint32{}, services: map[uint32]bool{}, taken: map[uint32]bool{}}
	for _, s := range have.Services {
		a.services[s.ID] = true
	}
	for id, b := range have.Backends {
		a.known[server{b.Service, b.Server}], a.taken[id] = id, true
		// Backends of a service that is no more make its id wait for them.
		a.services[b.Service] = true
	}
	return a
}

// service returns an id, or 0 where there is none left.
func (a *allocator) service() uint32 {
	a.nextService = next(a.services, a.nextService, maxServices)
	return a.nextService
}

// backend returns an id; fresh has told that there is one.
func (a *allocator) backend() uint32 {
	a.nextB = next(a.taken, a.nextB, maxBackends)
	return a.nextB
}

// next takes the first id after last that is free.
func next(taken map[uint32]bool, last, limit uint32) uint32 {
	for id := last + 1; id <= limit; id++ {
		if !taken[id] {
			taken[id] = true
			return id
		}
	}
	return 0
}

// fresh returns how many servers of v need an id: those that go give theirs
// back only when all others stand.
func (a *allocator) fresh(v l4.VirtualService, have Holding) (n int) {
	s, stands := have.Services[v.Key]
	for _, d := range v.Destinations {
		if !stands || a.known[server{s.ID, d.Addr}] == 0 {
			n++
		}
	}
	return n
}
