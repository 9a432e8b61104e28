package xdp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/rtnl"
	"github.com/portico-lb/portico/l4"
)

const (
	// every is how often the maps are read when nothing happens, to follow what
	// no message tells and to put right what another tool changed.
	every = 3 * time.Second
	// calm is the least time between two passes that neighbours call for: on a
	// busy link some entry changes all the time.
	calm = 500 * time.Millisecond
	// beats are in the time that a beat holds for: a few may be late.
	beats = 10
)

// Options are what a Plane needs.
type Options struct {
	Log  *slog.Logger
	Pins Pins
	// Peers returns the hardware addresses of the other directors.
	Peers func() []MAC
	// Alive returns if the director does its work: who decides which addresses
	// this node owns answers. Where it does not return, or not in time, XDP
	// stops to forward. It may be nil.
	Alive func()
	// Rows is the size of IPVS's tables.
	Rows int
}

// A Plane carries packets before IPVS sees them. It is the l4.Accelerator.
type Plane struct {
	opt  Options
	bell chan struct{}
	// work is held through a pass, and guards what only passes use.
	work sync.Mutex
	life life
	want l4.State
	// told says that want is there.
	told bool
	// loading says that want waits for the program.
	loading bool
	last    plan // empty where XDP does not run
	// counted is what was found in the flows, and when.
	counted census
	fault   string // the latest error of a pass that nobody asked for

	mu     sync.Mutex
	cfg    Config
	status Status
	// denials are until when networks are denied; edition tells lists apart.
	denials map[netip.Prefix]time.Time
	edition uint64
	// carriers are by the keys of the services; the others are IPVS's.
	carriers map[l4.Key]l4.Carrier
}

var _ l4.Accelerator = (*Plane)(nil)

// New returns a Plane that touches nothing until Follow.
func New(o Options) *Plane {
	return &Plane{opt: o, bell: make(chan struct{}, 1), life: life{pins: o.Pins, log: o.Log, cookies: cookies{pins: o.Pins, log: o.Log}}, edition: 1}
}

// Set replaces the configuration. It may be called before and during Run.
func (p *Plane) Set(cfg Config) {
	p.mu.Lock()
	p.cfg = cfg
	p.mu.Unlock()
	p.life.forgive()
	p.ring()
}

func (p *Plane) ring() {
	select {
	case p.bell <- struct{}{}:
	default: // already rung
	}
}

// Follow makes XDP carry what it can of want, and nothing else.
func (p *Plane) Follow(want l4.State) error {
	p.work.Lock()
	defer p.work.Unlock()
	before := p.want
	p.want = want
	err := p.pass(before)
	p.told = true
	return err
}

// Carrier tells who carries a service.
func (p *Plane) Carrier(k l4.Key) l4.Carrier {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.carriers[k]; ok {
		return c
	}
	return l4.Carrier{Dataplane: string(l4.ByIPVS)}
}

// Run keeps the program alive and follows the neighbours until ctx ends. It is
// ready at once: there is nothing to do before the first Follow. The program
// goes on when it ends, for as long as the latest beat holds.
func (p *Plane) Run(ctx context.Context, ready func()) error {
	load := p.life.beside(p.ring)
	ready()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { load(ctx) })
	wg.Go(func() { p.beat(ctx) })
	news := make(chan struct{}, 1)
	failed := make(chan error, 1)
	wg.Go(func() {
		failed <- rtnl.Watch(ctx, func() {
			select {
			case news <- struct{}{}:
			default:
			}
		}, unix.RTNLGRP_NEIGH, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
			unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	})
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-p.bell:
		case <-tick.C:
		case <-news:
		}
		p.again()
		select {
		case <-ctx.Done():
		case <-time.After(calm):
		}
	}
}

// again makes a pass for what was wanted last.
func (p *Plane) again() {
	p.work.Lock()
	defer p.work.Unlock()
	if !p.told {
		return
	}
	p.tell(p.pass(p.want))
}

// tell logs an error once, and again when it changes.
func (p *Plane) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != p.fault {
		p.opt.Log.Error("XDP is not as it should be", "err", err)
	}
	p.fault = text
}

// beat says again and again that the director lives, as long as it does.
func (p *Plane) beat(ctx context.Context) {
	for {
		p.mu.Lock()
		limit := p.cfg.Fence
		p.mu.Unlock()
		if p.opt.Alive != nil {
			p.opt.Alive()
		}
		if err := p.life.beat(limit); err != nil {
			p.opt.Log.Error("beat", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(limit/beats, 100*time.Millisecond)):
		}
	}
}
