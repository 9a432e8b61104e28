package bfd

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// retry is how long a socket that could not be opened is left alone.
const retry = 5 * time.Second

// Status is a session's.
type Status struct {
	State      State
	Since      time.Time // of State
	Diagnostic Diagnostic
	// Lost is when the neighbor was last heard before the session last fell from
	// Up otherwise than by the will of an operator; zero: it never did.
	Lost time.Time
}

// Watcher watches lines.
type Watcher struct {
	log     *slog.Logger
	inputs  chan struct{}
	changed chan struct{}

	mu     sync.Mutex
	config map[netip.Addr]Params
	status map[netip.Addr]Status
}

// New returns a Watcher that watches nothing yet.
func New(log *slog.Logger) *Watcher {
	return &Watcher{log: log, inputs: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// Set replaces the neighbors that are watched; it keeps what it is given.
// Sessions whose parameters did not change go on.
func (w *Watcher) Set(neighbors map[netip.Addr]Params) {
	w.mu.Lock()
	w.config = neighbors
	w.mu.Unlock()
	ring(w.inputs)
}

// Status returns the state of each session.
func (w *Watcher) Status() map[netip.Addr]Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.status)
}

// Changed rings after the status changed; for one consumer.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// line is a session and what it sends by.
type line struct {
	*session
	conn net.PacketConn
}

// watch is the state of a running Watcher.
type watch struct {
	*Watcher
	lines     map[netip.Addr]line
	receivers map[bool]*receiver // by being IPv6
	packets   chan heard
	readers   sync.WaitGroup
	again     time.Time // when to try sockets again; zero: all are open
	fault     string
}

// Run watches until ctx ends; then it tells the neighbors that this was meant.
func (w *Watcher) Run(ctx context.Context) {
	x := &watch{Watcher: w, lines: map[netip.Addr]line{}, receivers: map[bool]*receiver{}, packets: make(chan heard)}
	inner, stop := context.WithCancel(ctx)
	defer x.readers.Wait()
	defer stop()
	defer func() { _ = x.set(inner, nil) }() // opens nothing that could fail
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.inputs:
			x.open(inner)
		case h := <-x.packets:
			x.receive(h)
		case <-timer.C:
			if !x.again.IsZero() && !time.Now().Before(x.again) {
				x.open(inner)
			}
		}
		x.act()
		if next := x.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// open opens what the configuration asks for.
func (x *watch) open(ctx context.Context) {
	x.mu.Lock()
	config := x.config
	x.mu.Unlock()
	x.again = time.Time{}
	if err := x.set(ctx, config); err != nil {
		x.again = time.Now().Add(retry)
		if x.fault != err.Error() {
			x.log.Error("lines not watched by bfd", "err", err)
		}
		x.fault = err.Error()
		return
	}
	x.fault = ""
}

// set ends and begins sessions. It goes on after a fault.
func (x *watch) set(ctx context.Context, config map[netip.Addr]Params) (failed error) {
	for a, l := range x.lines {
		if p, stays := config[a]; !stays || p != l.Params {
			l.move(time.Now(), AdminDown, DiagAdminDown)
			x.send(a, l)
			l.conn.Close()
			delete(x.lines, a)
		}
	}
	used := map[bool]bool{}
	for a, p := range config {
		v6 := a.Is6()
		used[v6] = true
		if _, stands := x.lines[a]; stands {
			continue
		}
		if err := x.listen(ctx, v6); err != nil {
			failed = err
			continue
		}
		c, err := dial(ctx, v6)
		if err != nil {
			failed = err
			continue
		}
		x.lines[a] = line{newSession(p, x.discriminator(), time.Now()), c}
	}
	for v6, r := range x.receivers {
		if !used[v6] {
			r.Close()
			delete(x.receivers, v6)
		}
	}
	return failed
}

// listen has the family's packets come.
func (x *watch) listen(ctx context.Context, v6 bool) error {
	if x.receivers[v6] != nil {
		return nil
	}
	r, err := listen(ctx, v6, port)
	if err != nil {
		return err
	}
	x.receivers[v6] = r
	x.readers.Go(func() {
		for {
			h, err := r.receive()
			if err != nil {
				return // closed
			}
			select {
			case x.packets <- h:
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// discriminator is a number of no session here, and hardly of one that an
// earlier process had.
func (x *watch) discriminator() uint32 {
	for {
		d := rand.Uint32()
		taken := d == 0
		for _, l := range x.lines {
			taken = taken || l.local == d
		}
		if !taken {
			return d
		}
	}
}

// receive hands the packet to its session: one that names none is of the
// neighbor's.
func (x *watch) receive(h heard) {
	if l, known := x.lines[h.from]; known && (h.Your == 0 || h.Your == l.local) {
		l.receive(time.Now(), h.Packet)
	}
}

// act does what is due, and publishes what changed.
func (x *watch) act() {
	now := time.Now()
	status := map[netip.Addr]Status{}
	for a, l := range x.lines {
		l.expire(now)
		x.send(a, l)
		status[a] = Status{l.state, l.since, l.diagnostic, l.lost}
	}
	x.mu.Lock()
	news := !maps.Equal(x.status, status)
	x.status = status
	x.mu.Unlock()
	if news {
		ring(x.changed)
	}
}

// send sends what is due. A packet that cannot be sent is a lost one.
func (x *watch) send(to netip.Addr, l line) {
	if p, due := l.session.send(time.Now(), rand.Float64()); due {
		_, _ = l.conn.WriteTo(p.Append(nil), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port)))
	}
}

// next is when something is due; zero: never.
func (x *watch) next() time.Time {
	next := x.again
	for _, l := range x.lines {
		if at := l.next(); next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// ring rings a bell of capacity one.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
