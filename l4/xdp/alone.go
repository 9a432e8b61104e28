package xdp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/l4"
)

// An Alone is the dataplane of a kernel that has no ip_vs, where XDP carries
// what it can and nobody stands by. What it holds is what the program's maps
// hold; what is applied to it is made so by the Plane, which is told of
// everything at once thereafter.
type Alone struct {
	plane *Plane

	mu       sync.Mutex // the fields below: IPVS would keep them
	sysctls  map[string]int
	timeouts l4.Timeouts
}

var _ l4.Dataplane = (*Alone)(nil)

// NewAlone returns the dataplane.
func NewAlone(p *Plane) *Alone {
	return &Alone{
		plane: p,
		// XDP does by nature what IPVS needs these for.
		sysctls: map[string]int{"expire_nodest_conn": 1, "expire_quiescent_template": 1, "sloppy_tcp": 1, "sloppy_sctp": 1},
		// IPVS's own (net/netfilter/ipvs/ip_vs_proto_tcp.c, ip_vs_proto_udp.c): the
		// connections of who leaves are counted by them.
		timeouts: l4.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute},
	}
}

// Read returns what the program carries, or while it is being loaded, what it
// will: who asks at that time has nothing to put right.
func (a *Alone) Read() (l4.State, error) {
	services, err := a.plane.services()
	if err != nil {
		return l4.State{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return l4.State{Sysctls: maps.Clone(a.sysctls), Timeouts: a.timeouts, Services: services}, nil
}

// errStandby is what to do about a service that needs IPVS.
var errStandby = errors.New("needs ip_vs, which is not available in this kernel: modprobe ip_vs, or install the package that holds it (CONFIG_IP_VS)")

// Apply refuses what XDP cannot do, and leaves the rest to the Plane.
func (a *Alone) Apply(op l4.Op) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch op.Kind {
	case l4.SetSysctl:
		a.sysctls[op.Sysctl] = op.Value
	case l4.SetTimeouts:
		a.timeouts = op.Timeouts
	case l4.StartDaemon:
		return fmt.Errorf("the sync daemon %w", errStandby)
	case l4.AddService, l4.SetService:
		if why := unable(op.Service); why != "" {
			return fmt.Errorf("%s %w", why, errStandby)
		}
	}
	return nil
}

// services returns those that the maps hold, or are to hold when there are maps.
func (p *Plane) services() (all []l4.VirtualService, err error) {
	p.work.Lock()
	defer p.work.Unlock()
	if p.loading {
		for _, v := range p.want.Services {
			if unable(v) == "" {
				v.Destinations = slices.Clone(v.Destinations) // for who asks to change
				all = append(all, v)
			}
		}
		return all, nil
	}
	h, err := p.holds()
	if err != nil {
		return nil, err
	}
	for k, service := range h.Services {
		v := l4.VirtualService{Key: k, Scheduler: "mh", Flags: service.Flags}
		for _, id := range h.of(service.ID) {
			b := h.Backends[id]
			v.Destinations = append(v.Destinations, l4.Destination{Addr: b.Server, Forward: l4.DirectRoute, Weight: b.Weight})
		}
		all = append(all, v)
	}
	return all, nil
}

// holds returns what the maps hold; nothing where there are none. p.work is
// held.
func (p *Plane) holds() (Holding, error) {
	if p.life.open == nil {
		return newHolding(), nil
	}
	return p.life.open.read()
}
