package xdp

import (
	"fmt"
	"maps"
	"slices"

	"github.com/portico-lb/portico/l4"
)

// An opKind is what an op does.
type opKind uint8

// The kinds of op, each with the fields it uses.
const (
	delService   opKind = iota // key
	setPeer                    // mac
	setInterface               // link, mac
	setBackend                 // id, backend
	setTable                   // id, a service's; places, build
	setService                 // key, service
	delTable                   // id
	delBackend                 // id
	delInterface               // link
	delPeer                    // mac
)

// An op is one change of the maps.
type op struct {
	kind    opKind
	key     l4.Key
	service Service
	id      uint32
	backend Backend
	// fresh says that the id, a backend's or a service's, has just been given:
	// it has carried nothing yet.
	fresh  bool
	places []place
	build  Build
	link   int
	mac    MAC
}

// String says what the op does.
func (o op) String() string {
	switch o.kind {
	case delService:
		return "delete " + o.key.String()
	case setPeer:
		return "add peer " + o.mac.String()
	case setInterface:
		return fmt.Sprintf("set interface %d %s", o.link, o.mac)
	case setBackend:
		return fmt.Sprintf("set backend %d %s", o.id, o.backend)
	case setTable:
		return fmt.Sprintf("set table %d of %d servers", o.id, len(o.places))
	case setService:
		return fmt.Sprintf("set %s id %d", o.key, o.service.ID)
	case delTable:
		return fmt.Sprintf("delete table %d", o.id)
	case delBackend:
		return fmt.Sprintf("delete backend %d", o.id)
	case delInterface:
		return fmt.Sprintf("delete interface %d", o.link)
	}
	return "delete peer " + o.mac.String()
}

// diff returns the ops that turn have into the plan, in the order in which
// they must be applied.
func diff(have Holding, p plan) []op {
	var ops []op
	// First who is no more to be balanced here: another node has the address.
	for _, k := range slices.SortedFunc(maps.Keys(have.Services), l4.Key.Compare) {
		if s, wanted := p.Services[k]; !wanted || s.ID != have.Services[k].ID {
			ops = append(ops, op{kind: delService, key: k})
		}
	}
	// A peer is known before anything of its is forwarded.
	for _, m := range slices.SortedFunc(maps.Keys(p.Peers), MAC.compare) {
		if !have.Peers[m] {
			ops = append(ops, op{kind: setPeer, mac: m})
		}
	}
	for _, i := range slices.Sorted(maps.Keys(p.Interfaces)) {
		if m, ok := have.Interfaces[i]; !ok || m != p.Interfaces[i] {
			ops = append(ops, op{kind: setInterface, link: i, mac: p.Interfaces[i]})
		}
	}
	// Then from behind: who is pointed at stands before who points.
	for _, id := range slices.Sorted(maps.Keys(p.Backends)) {
		b := p.Backends[id]
		if h, ok := have.Backends[id]; !ok || h != b {
			ops = append(ops, op{kind: setBackend, id: id, backend: b, fresh: h.Generation != b.Generation})
		}
	}
	services := slices.SortedFunc(maps.Keys(p.Services), l4.Key.Compare)
	for _, k := range services {
		if id := p.Services[k].ID; have.Builds[id] != p.Builds[id] {
			ops = append(ops, op{kind: setTable, id: id, places: p.places[id], build: p.Builds[id]})
		}
	}
	for _, k := range services {
		if s := p.Services[k]; have.Services[k] != s {
			ops = append(ops, op{kind: setService, key: k, service: s, fresh: have.Services[k].ID != s.ID})
		}
	}
	return append(ops, leave(have, p)...)
}

// leave returns the ops that free what nobody points at any more.
func leave(have Holding, p plan) (ops []op) {
	for _, id := range slices.Sorted(maps.Keys(have.Builds)) {
		if p.Builds[id] == 0 {
			ops = append(ops, op{kind: delTable, id: id})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have.Backends)) {
		if _, wanted := p.Backends[id]; !wanted {
			ops = append(ops, op{kind: delBackend, id: id})
		}
	}
	for _, i := range slices.Sorted(maps.Keys(have.Interfaces)) {
		if _, wanted := p.Interfaces[i]; !wanted {
			ops = append(ops, op{kind: delInterface, link: i})
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(have.Peers), MAC.compare) {
		if !p.Peers[m] {
			ops = append(ops, op{kind: delPeer, mac: m})
		}
	}
	return slices.Clip(ops)
}
