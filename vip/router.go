package vip

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// retryAfter is how soon a router that could not open its socket tries again,
// when nothing tells it earlier that something changed.
const retryAfter = time.Second

// run decides over the group until ctx ends. A static group keeps its
// addresses: nobody else would take them.
func (r *router) run(ctx context.Context) {
	switch g, _, _ := r.config(); g.Owner {
	case OwnerBGP:
		r.route(ctx)
	case OwnerStatic:
		<-ctx.Done()
	default:
		r.await(ctx)
		s := &speaker{router: r, clock: newClock(), m: vrrp.NewMachine(r.machineConfig(netip.Addr{}))}
		s.run(ctx)
	}
}

// await waits for the first results of tracking, but not where the addresses
// are up already: a router that takes long to speak is taken for dead.
func (r *router) await(ctx context.Context) {
	limit := time.NewTimer(trackLimit)
	defer limit.Stop()
	for {
		r.mu.Lock()
		wait := r.routed.pending && !r.view.adopting
		r.mu.Unlock()
		if !wait {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-r.inputs:
		}
	}
}

// machineConfig translates the group for the machine.
func (r *router) machineConfig(source netip.Addr) vrrp.Config {
	g, _, _ := r.config()
	v, sync := r.verdicts()
	if sync != nil {
		v = sync.verdict(r, v)
	}
	return vrrp.Config{
		Version: uint8(g.VRRP.Version), Priority: uint8(g.VRRP.Priority), Delta: v.Delta, Interval: g.VRRP.AdvertInterval,
		Preempt: g.VRRP.Preempt, PreemptDelay: g.VRRP.PreemptDelay, Address: source, Synced: sync != nil, Seed: r.seed,
	}
}

// speaker takes part in VRRP for a router.
type speaker struct {
	*router
	clock    *clock
	m        *vrrp.Machine
	line     *line
	guard    vrrp.Guard
	unable   string            // why no session is possible; "" when one is
	hindered string            // the same, or what tracking or the sync group have against it
	seen     map[oddity]string // what was logged of accepted adverts
}

// run takes part until ctx ends, and then resigns.
func (s *speaker) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.session(ctx)
		s.fault(err)
		if err != nil {
			s.unable, s.hindered = err.Error(), err.Error()
			s.m.Step(s.clock.now(), vrrp.Stop{Fault: true})
		}
		s.publish(s.m, s.hindered, nil)
		s.tell()
		select {
		case <-ctx.Done():
		case <-s.inputs:
		case <-time.After(retryAfter):
		}
	}
	s.m.Step(s.clock.now(), vrrp.Stop{})
	s.publish(s.m, "", nil)
}

// session runs the machine from when the interface can be used until it
// cannot, or ctx ends. Nil means the latter.
func (s *speaker) session(ctx context.Context) (err error) {
	if s.line, err = s.connect(ctx); err != nil {
		return err
	}
	defer func() { s.line.close() }()
	s.fault(nil)
	s.unable, s.hindered = "", ""

	_, v := s.read()
	// Not to be published: in Initialize the machine does not know yet what we hold.
	s.m.Step(s.clock.now(), vrrp.Reconfigure{Config: s.machineConfig(s.line.Source())})
	s.step(ctx, vrrp.Start{Holding: v.adopting})
	defer func() {
		if err != nil {
			s.unable, s.hindered = err.Error(), err.Error()
		}
		s.step(ctx, vrrp.Stop{Fault: err != nil})
	}()
	s.obey(ctx)

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.arm(timer)
		select {
		case <-ctx.Done():
			s.handOver(ctx)
			return nil
		case <-timer.C:
			s.mail(ctx)
			s.step(ctx, vrrp.Tick{})
		case d := <-s.line.heard:
			s.hear(ctx, d)
		case err := <-s.line.broken:
			return err
		case <-s.inputs:
			if s.line, err = s.reconnect(ctx, s.line); err != nil {
				return err
			}
			s.step(ctx, vrrp.Reconfigure{Config: s.machineConfig(s.line.Source())})
			s.obey(ctx)
		}
	}
}

// arm sets the timer to the machine's deadline.
func (s *speaker) arm(timer *time.Timer) {
	if d := s.m.Deadline(); d.IsZero() {
		timer.Stop()
	} else {
		timer.Reset(s.clock.until(d))
	}
}

// mailLimit bounds how long a flood may keep an election from being held.
const mailLimit = 50 * time.Millisecond

// mail hears what waits: an advert that has come is not to be overlooked
// because a timer ran out at the same time. After a stall the timer is seen
// first, and the goroutine that listens has yet to read what came meanwhile:
// an election waits for that.
func (s *speaker) mail(ctx context.Context) {
	var limit <-chan time.Time
	for {
		select {
		case d := <-s.line.heard:
			s.hear(ctx, d)
			continue
		default:
		}
		if s.m.State() == vrrp.Active || !s.line.Waiting() {
			return
		}
		if limit == nil {
			limit = time.After(mailLimit)
		}
		select {
		case d := <-s.line.heard:
			s.hear(ctx, d)
		case err := <-s.line.broken:
			s.line.breaks(err)
			return
		case <-limit:
			return
		}
	}
}

func (s *speaker) hear(ctx context.Context, d vrrp.Datagram) {
	if ad, ok := s.accept(d); ok {
		s.step(ctx, ad)
	}
}

// handOver resigns, and returns when a successor was heard or none came.
func (s *speaker) handOver(ctx context.Context) {
	if _, sync := s.verdicts(); sync != nil {
		sync.leave(s.router)
	}
	s.step(ctx, vrrp.Leave{})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.m.State() != vrrp.Initialize {
		s.arm(timer)
		select {
		case <-timer.C:
			s.step(ctx, vrrp.Tick{})
		case d := <-s.line.heard:
			s.hear(ctx, d)
		case <-s.line.broken:
			return // the session's end stops the machine
		}
	}
}

// step gives the machine an event, does what it says, and shows the result.
// Adverts leave before anybody is told, so that nothing can hold them up.
func (s *speaker) step(ctx context.Context, ev vrrp.Event) {
	old := s.line
	var acquired, disputed uint64
	for _, a := range s.m.Step(s.clock.now(), ev) {
		switch a {
		case vrrp.Advertise:
			s.speaks()
			s.send(ctx, s.m.Effective())
		case vrrp.Resign:
			s.send(ctx, 0)
		case vrrp.Acquire:
			acquired++
		case vrrp.Announce:
			disputed++
		}
	}
	s.publish(s.m, s.hindered, func(v *view) { v.acquired += acquired; v.disputed += disputed })
	if s.line != old {
		s.step(ctx, vrrp.Reconfigure{Config: s.machineConfig(s.line.Source())})
		return
	}
	s.tell()
}

// speaks notes the time, for those who ask whether we are still Active.
func (s *speaker) speaks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoke = sinceBoot()
}

// send sends an advert. Where that fails on a line that has stood for a while,
// the interface may have got another address: it tries a new line. If there is
// none to be had the session ends, since an Active that nobody hears will soon
// not be the only one.
func (s *speaker) send(ctx context.Context, priority uint8) {
	g, _, _ := s.config()
	p := vrrp.Packet{
		Version: uint8(g.VRRP.Version), VRID: uint8(g.VRRP.RouterID), Priority: priority, Interval: g.VRRP.AdvertInterval,
		Addrs: g.advertised(), Auth: g.VRRP.Auth, Password: g.VRRP.Password, PlainChecksum: g.VRRP.PlainChecksum,
	}
	s.guard.Sign(g.VRRP.HMAC, &p, s.line.Source(), time.Now())
	err := s.line.Send(p)
	if err != nil && time.Since(s.line.opened) >= retryAfter {
		fresh, failed := s.connect(ctx)
		if failed != nil {
			s.line.breaks(failed)
			return
		}
		s.line.close()
		s.line = fresh
		s.guard.Sign(g.VRRP.HMAC, &p, s.line.Source(), time.Now())
		err = s.line.Send(p)
	}
	if err != nil {
		s.fault(fmt.Errorf("send advert: %w", err))
		return
	}
	s.fault(nil)
	s.count(func(c *counts) { c.sent++ })
}
