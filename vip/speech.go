package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/vrrp"
)

// speech carries what the groups with owner bgp want to the Speaker they
// share, and what it hears back to them.
type speech struct {
	speaker *bgp.Speaker
	list    func() []*router
	bell    chan struct{} // rung when a view or the configuration changed

	// begun is set once every group has decided: the first routes after a
	// restart replace those that the routers kept, so they have to be all.
	begun bool
	// id is the router ID taken from an interface; it stays, since another
	// one would end all sessions.
	id netip.Addr
}

func newSpeech(log *slog.Logger, list func() []*router) *speech {
	return &speech{speaker: bgp.New(log), list: list, bell: make(chan struct{}, 1)}
}

// run speaks until ctx ends, and returns when the sessions have ended.
func (s *speech) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	var failed error
	wg.Go(func() { failed = s.speaker.Run(ctx, func() {}) })
	for {
		again := lookEvery // an interface may have got another address
		if !s.say() {
			again = retryAfter
		}
		select {
		case <-ctx.Done():
			wg.Wait()
			return failed
		case <-s.bell:
		case <-time.After(again):
		case <-s.speaker.Changed():
			s.spread(s.speaker.Status())
		}
	}
}

// say gives the Speaker what the groups want now, and reports whether that is
// all of it.
func (s *speech) say() bool {
	var said []sayable
	var routers []*router
	for _, r := range s.list() {
		g, v := r.read()
		if g.Owner != OwnerBGP {
			continue
		}
		if !s.begun && v.state == vrrp.Initialize {
			return true // its decision rings
		}
		routers = append(routers, r)
		said = append(said, sayable{g, v.announced})
	}
	if len(said) == 0 {
		s.speaker.Set(bgp.Config{})
		return true
	}
	have, err := addr.Read()
	if err != nil {
		for _, r := range routers {
			r.fault(err)
		}
		return false
	}
	config, faults := compose(said, have, s.id)
	for i, r := range routers {
		r.fault(faults[i])
	}
	s.begun, s.id = true, config.RouterID
	s.speaker.Set(config)
	return errors.Join(faults...) == nil
}

// spread tells each group how many routers hear of it.
func (s *speech) spread(st bgp.Status) {
	up := map[netip.Addr]bool{}
	for _, x := range st.Sessions {
		up[x.Neighbor] = x.Up()
	}
	for _, r := range s.list() {
		g, _ := r.read()
		if g.Owner != OwnerBGP {
			continue
		}
		heard := 0
		for _, n := range g.BGP.Neighbors {
			if up[n.Address] {
				heard++
			}
		}
		r.hear(heard)
	}
}

// sayable is a group and whether it is to be announced.
type sayable struct {
	Group
	announced bool
}

// compose returns what the Speaker is to say, and for each group what keeps it
// from being said whole. id is the router ID used so far, if any.
func compose(groups []sayable, have addr.State, id netip.Addr) (bgp.Config, []error) {
	var c bgp.Config
	faults := make([]error, len(groups))
	var virtual []netip.Addr
	for _, g := range groups {
		virtual = append(virtual, g.addrs()...)
	}
	own := func(link string, v6 bool) netip.Addr {
		for _, f := range have.Addrs {
			a := f.Prefix.Addr()
			if f.Link == link && !f.Marked && a.Is6() == v6 && a.IsGlobalUnicast() && !slices.Contains(virtual, a) {
				return a
			}
		}
		return netip.Addr{}
	}
	first := groups[0]
	c.AS, c.Restart, c.RouterID = first.BGP.LocalAS, first.BGP.Restart, first.BGP.RouterID
	if !c.RouterID.IsValid() {
		c.RouterID = id
	}
	if !c.RouterID.IsValid() {
		c.RouterID = own(first.Interface, false)
	}
	if !c.RouterID.IsValid() {
		faults[0] = fmt.Errorf("bgp: %s has no IPv4 address to be known by among routers: set router_id", first.Interface)
		return bgp.Config{}, faults
	}
	for i, g := range groups {
		for _, n := range g.BGP.Neighbors {
			if !slices.Contains(c.Neighbors, n) {
				c.Neighbors = append(c.Neighbors, n)
			}
		}
		var errs []error
		for _, p := range g.Addresses {
			r, err := hostRoute(g, p.Addr(), own)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			c.Routes = append(c.Routes, r)
		}
		faults[i] = errors.Join(errs...)
	}
	return c, faults
}

// hostRoute is the route to one address. Neighbors of its own family hear of
// it, with our address in the session as next hop; where there are none, those
// of the other family do, and the next hop is an address of the interface.
func hostRoute(g sayable, a netip.Addr, own func(link string, v6 bool) netip.Addr) (bgp.Route, error) {
	r := bgp.Route{Prefix: netip.PrefixFrom(a, a.BitLen()), MED: g.BGP.MED, Communities: g.BGP.Communities, Announced: g.announced}
	var others []netip.Addr
	for _, n := range g.BGP.Neighbors {
		if n.Address.Is6() == a.Is6() {
			r.To = append(r.To, n.Address)
		} else {
			others = append(others, n.Address)
		}
	}
	if len(r.To) > 0 {
		return r, nil
	}
	if r.NextHop = own(g.Interface, a.Is6()); !r.NextHop.IsValid() {
		return r, fmt.Errorf("bgp: announce %v: %s has no address of its family to be the next hop: give it one, or name a neighbor of that family", a, g.Interface)
	}
	r.To = others
	return r, nil
}
