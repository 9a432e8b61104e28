package vip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// retryAfter is how soon a router that could not open its socket tries again,
// when nothing tells it earlier that something changed.
const retryAfter = time.Second

// run takes part in VRRP until ctx ends, and then resigns. A static group
// keeps its addresses: nobody else would take them.
func (r *router) run(ctx context.Context) {
	switch g, _, _ := r.config(); g.Owner {
	case OwnerBGP:
		r.route(ctx)
		return
	case OwnerStatic:
		<-ctx.Done()
		return
	}
	m := vrrp.NewMachine(r.machineConfig(netip.Addr{}))
	for ctx.Err() == nil {
		err := r.session(ctx, m)
		r.fault(err)
		r.publish(m, nil)
		select {
		case <-ctx.Done():
		case <-r.inputs:
		case <-time.After(retryAfter):
		}
	}
}

// machineConfig translates the group for the machine.
func (r *router) machineConfig(source netip.Addr) vrrp.Config {
	g, _, _ := r.config()
	return vrrp.Config{
		Version: uint8(g.VRRP.Version), Priority: uint8(g.VRRP.Priority), Interval: g.VRRP.AdvertInterval,
		Preempt: g.VRRP.Preempt, PreemptDelay: g.VRRP.PreemptDelay, Address: source,
	}
}

// session runs the machine from Initialize to Initialize: from when the
// interface can be used until it cannot, or ctx ends. Nil means the latter.
func (r *router) session(ctx context.Context, m *vrrp.Machine) error {
	line, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { line.close() }()
	r.fault(nil)

	_, v := r.read()
	// Not to be published: in Initialize the machine does not know yet what we hold.
	m.Step(time.Now(), vrrp.Reconfigure{Config: r.machineConfig(line.Source())})
	line = r.step(ctx, line, m, vrrp.Start{Holding: v.adopting})
	defer func() { line = r.step(ctx, line, m, vrrp.Stop{}) }()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(m.Deadline()))
		select {
		case <-ctx.Done():
			line = r.handOver(ctx, line, m)
			return nil
		case <-timer.C:
			line = r.step(ctx, line, m, vrrp.Tick{})
		case d := <-line.heard:
			if ad, ok := r.accept(line, d); ok {
				line = r.step(ctx, line, m, ad)
			}
		case err := <-line.broken:
			return err
		case <-r.inputs:
			if line, err = r.reconnect(ctx, line); err != nil {
				return err
			}
			line = r.step(ctx, line, m, vrrp.Reconfigure{Config: r.machineConfig(line.Source())})
		}
	}
}

// handOver resigns, and returns when a successor was heard or none came.
func (r *router) handOver(ctx context.Context, line *line, m *vrrp.Machine) *line {
	line = r.step(ctx, line, m, vrrp.Leave{})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for m.State() != vrrp.Initialize {
		timer.Reset(time.Until(m.Deadline()))
		select {
		case <-timer.C:
			line = r.step(ctx, line, m, vrrp.Tick{})
		case d := <-line.heard:
			if ad, ok := r.accept(line, d); ok {
				line = r.step(ctx, line, m, ad)
			}
		case <-line.broken:
			return line // the session's end stops the machine
		}
	}
	return line
}

// step gives the machine an event, does what it says, and shows the result.
// Adverts leave before anybody is told, so that nothing can hold them up. It
// returns the line to go on with.
func (r *router) step(ctx context.Context, l *line, m *vrrp.Machine, ev vrrp.Event) *line {
	old := l
	var acquired, disputed uint64
	for _, a := range m.Step(time.Now(), ev) {
		switch a {
		case vrrp.Advertise:
			g, _, _ := r.config()
			l = r.send(ctx, l, uint8(g.VRRP.Priority))
		case vrrp.Resign:
			l = r.send(ctx, l, 0)
		case vrrp.Acquire:
			acquired++
		case vrrp.Announce:
			disputed++
		}
	}
	r.publish(m, func(v *view) { v.acquired += acquired; v.disputed += disputed })
	if l != old {
		return r.step(ctx, l, m, vrrp.Reconfigure{Config: r.machineConfig(l.Source())})
	}
	return l
}

// send sends an advert. Where that fails on a line that has stood for a while,
// the interface may have got another address: it tries a new line. If there is
// none to be had the session ends, since an Active that nobody hears will soon
// not be the only one.
func (r *router) send(ctx context.Context, l *line, priority uint8) *line {
	g, _, _ := r.config()
	p := vrrp.Packet{
		Version: uint8(g.VRRP.Version), VRID: uint8(g.VRRP.RouterID), Priority: priority, Interval: g.VRRP.AdvertInterval,
		Addrs: g.advertised(), Auth: g.VRRP.Auth, Password: g.VRRP.Password,
	}
	err := l.Send(p)
	if err != nil && time.Since(l.opened) >= retryAfter {
		fresh, failed := r.connect(ctx)
		if failed != nil {
			l.breaks(failed)
			return l
		}
		l.close()
		l = fresh
		err = l.Send(p)
	}
	if err != nil {
		r.fault(fmt.Errorf("send advert: %w", err))
		return l
	}
	r.fault(nil)
	r.count(func(c *counts) { c.sent++ })
	return l
}

// accept filters a datagram and counts what became of it.
func (r *router) accept(l *line, d vrrp.Datagram) (vrrp.Advert, bool) {
	g, _, _ := r.config()
	p, verdict := vrrp.Filter{
		Version: uint8(g.VRRP.Version), VRID: uint8(g.VRRP.RouterID), Interval: g.VRRP.AdvertInterval,
		Auth: g.VRRP.Auth, Password: g.VRRP.Password, Own: l.Source(), Peers: g.VRRP.Peers,
	}.Accept(d)
	r.count(func(c *counts) {
		if verdict == vrrp.Accepted {
			c.received++
		} else {
			c.dropped[verdict]++
		}
	})
	return vrrp.Advert{Src: d.Src, Priority: p.Priority, Interval: p.Interval}, verdict == vrrp.Accepted
}

// line is an open conn with the goroutine that listens to it.
type line struct {
	conn
	endpoint vrrp.Endpoint
	index    int // of the interface it is bound to
	opened   time.Time
	heard    chan vrrp.Datagram
	broken   chan error
	stop     context.CancelFunc
	stopped  chan struct{}
}

// connect opens the conn that the configuration asks for.
func (r *router) connect(ctx context.Context) (*line, error) {
	g, virtual, link := r.config()
	switch {
	case link.Index == 0:
		return nil, fmt.Errorf("interface %s does not exist: create it or name another", g.Interface)
	case !link.Up:
		return nil, fmt.Errorf("interface %s is down", g.Interface)
	}
	e := vrrp.Endpoint{Interface: g.Interface, IPv6: g.ipv6(), Peers: g.VRRP.Peers, Virtual: virtual}
	c, err := r.open(e)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &line{conn: c, endpoint: e, index: link.Index, opened: time.Now(), stop: stop,
		heard: make(chan vrrp.Datagram), broken: make(chan error, 1), stopped: make(chan struct{})}
	go l.listen(ctx)
	return l, nil
}

// reconnect replaces a line that no longer fits the configuration. The machine
// need not know. An error leaves the old line, for a last word.
func (r *router) reconnect(ctx context.Context, old *line) (*line, error) {
	g, virtual, link := r.config()
	if link.Up && link.Index == old.index && slices.Equal(old.endpoint.Peers, g.VRRP.Peers) && slices.Equal(old.endpoint.Virtual, virtual) {
		return old, nil
	}
	l, err := r.connect(ctx)
	if err != nil {
		return old, err
	}
	old.close()
	return l, nil
}

func (l *line) listen(ctx context.Context) {
	defer close(l.stopped)
	defer context.AfterFunc(ctx, func() { _ = l.Interrupt() })()
	for {
		d, err := l.Receive()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				l.breaks(fmt.Errorf("receive adverts: %w", err))
			}
			return
		}
		d.Payload = bytes.Clone(d.Payload) // the conn uses its buffer again
		select {
		case l.heard <- d:
		case <-ctx.Done():
			return
		}
	}
}

// breaks ends the session on the line; the first reason counts.
func (l *line) breaks(err error) {
	select {
	case l.broken <- err:
	default:
	}
}

func (l *line) close() {
	l.stop()
	<-l.stopped
	_ = l.Close()
}
