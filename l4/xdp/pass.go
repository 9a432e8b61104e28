package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"github.com/portico-lb/portico/internal/rtnl"
	"github.com/portico-lb/portico/l4"
)

// pass brings the kernel to what is wanted. before is what was wanted until
// now. p.work is held.
func (p *Plane) pass(before l4.State) error {
	p.mu.Lock()
	cfg := p.cfg
	p.mu.Unlock()
	o := outcome{cfg: cfg}
	if o.err = p.life.adopt(); o.err == nil && cfg.on() {
		o.err = p.follow(cfg, before, &o)
	} else if o.err == nil {
		o.err = p.life.drop()
	}
	p.last, p.loading = o.plan, o.loading
	p.publish(o)
	return o.err
}

// An outcome is what a pass came to.
type outcome struct {
	cfg Config
	// modes are how interfaces have the program, by name, and refused why others
	// have not.
	modes   map[string]string
	refused map[string]error
	plan    plan
	loading bool
	// cookies is why SYNs are not answered with cookies, or not all.
	cookies error
	err     error
}

func (p *Plane) follow(cfg Config, before l4.State, o *outcome) error {
	// First, and whatever comes then: another node has those addresses now.
	if err := p.release(); err != nil {
		return err
	}
	links, err := rtnl.Dump("interfaces", netlink.LinkList)
	if err != nil {
		return err
	}
	if o.refused = p.life.hopeless(cfg, links); len(o.refused) == len(cfg.interfaces()) {
		return errors.Join(p.life.drop(), o.demanded())
	}
	if err := p.life.start(request{Sizes{Rows: p.opt.Rows, Flows: cfg.Flows}, tune(cfg.Shield), cfg.Fence}); err != nil {
		o.refused = map[string]error{}
		for _, name := range cfg.interfaces() {
			o.refused[name] = err
		}
		if o.loading = errors.Is(err, errLoading); o.loading {
			return nil
		}
		return o.demanded()
	}
	// Before a packet meets the program: an attack does not wait.
	shield := errors.Join(p.life.tune(tune(cfg.Shield), cfg.Fence), p.deny(cfg.Fence))
	if o.refused, err = p.life.attach(cfg, links); err != nil {
		return err
	}
	o.modes = map[string]string{}
	on := map[int]MAC{}
	for name, h := range p.life.held {
		o.modes[name] = h.mode
		on[h.index] = macOf(links, h.index)
	}
	if err := p.fill(on, before, o); err != nil {
		return err
	}
	if err := p.life.exchange(); err != nil {
		return errors.Join(shield, err, o.demanded())
	}
	o.cookies = p.life.setCookies(cfg.cookies())
	return errors.Join(shield, o.demanded())
}

// release takes the services from the program that are not wanted any more.
func (p *Plane) release() error {
	k := p.life.open
	if k == nil {
		return nil
	}
	have, err := k.services()
	if err != nil {
		return err
	}
	for _, v := range p.want.Services {
		delete(have, v.Key)
	}
	for key := range have {
		err = errors.Join(err, k.apply(op{kind: delService, key: key}))
	}
	return err
}

// fill brings the maps to what is wanted.
func (p *Plane) fill(on map[int]MAC, before l4.State, o *outcome) error {
	host, err := readHost(servers(p.want))
	if err != nil {
		return err
	}
	hops, unsure := host.hops(on)
	for _, n := range unsure {
		if err := rtnl.Ask(n.Link, n.Addr); err != nil {
			p.opt.Log.Debug("neighbour", "err", err)
		}
	}
	k := p.life.open
	have, err := k.read()
	if err != nil {
		return err
	}
	w := World{Hops: hops, Interfaces: on, Generic: p.life.generic(), Rows: p.opt.Rows}
	if p.opt.Peers != nil {
		w.Peers = p.opt.Peers()
	}
	o.plan = newPlan(p.want, have, w)
	ops := diff(have, o.plan)
	// Between the servers and the first service that is given to the program.
	services := slices.IndexFunc(ops, func(o op) bool { return o.kind == setService })
	if services < 0 {
		return k.applyAll(ops)
	}
	return errors.Join(k.applyAll(ops[:services]), p.seed(before, have, o.plan), k.applyAll(ops[services:]))
}

// atOnce is how many tables are exchanged at the same time.
const atOnce = 64

// applyAll applies ops in order, but tables among themselves at once: for each
// the kernel waits until no packet uses the one before, some 10 ms, and an
// address that was taken over is announced only when all stand.
func (k *kernel) applyAll(ops []op) error {
	var errs []error
	for len(ops) > 0 {
		n := slices.IndexFunc(ops, func(o op) bool { return o.kind != setTable })
		if n < 0 {
			n = len(ops)
		}
		n = max(1, n)
		var tables errgroup.Group
		tables.SetLimit(atOnce)
		for _, o := range ops[:n] {
			tables.Go(func() error {
				if err := k.apply(o); err != nil {
					return fmt.Errorf("%s: %w", o, err)
				}
				return nil
			})
		}
		errs, ops = append(errs, tables.Wait()), ops[n:]
	}
	return errors.Join(errs...)
}

// demanded is an error where the operator wants XDP for all, and it is not
// everywhere. Where it was to be taken if possible, that is none.
func (o *outcome) demanded() error {
	if o.cfg.Choice != l4.ByXDP {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.refused)) {
		errs = append(errs, fmt.Errorf("xdp on %s: %w", name, o.refused[name]))
	}
	return errors.Join(errs...)
}

// servers are those of every service.
func servers(s l4.State) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, v := range s.Services {
		for _, d := range v.Destinations {
			all[d.Addr.Addr()] = true
		}
	}
	return all
}

func macOf(links []netlink.Link, index int) (m MAC) {
	for _, l := range links {
		if l.Attrs().Index == index {
			return fromLink(l).MAC
		}
	}
	return m
}
