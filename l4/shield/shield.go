package shield

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/l4"
)

// Options are what a Shield needs.
type Options struct {
	Log *slog.Logger
	// File keeps the orders.
	File string
	// Deny is told of the whole list whenever it changes: until when each
	// network is denied, the zero time being for ever.
	Deny func(map[netip.Prefix]time.Time)
	// Denied returns how many packets of each network were dropped.
	Denied func() map[netip.Prefix]uint64
	// Works returns why nothing is dropped on this node, nil where it is.
	Works func() error
	// Friends returns the addresses that an order should not hit.
	Friends func() []Friend
}

// A Shield keeps the list.
type Shield struct {
	opt  Options
	bell chan struct{}

	mu     sync.Mutex // the fields below
	cfg    l4.Shield
	fixed  map[netip.Prefix]bool // of the configuration
	orders orders
}

// New returns a Shield with the orders that its file has, and says of those
// that cannot be read.
func New(o Options) *Shield {
	s := &Shield{opt: o, bell: make(chan struct{}, 1)}
	var err error
	if s.orders, err = readOrders(o.File); err != nil {
		o.Log.Error("denials cannot be read whole, order again those that are missing", "err", err)
	}
	return s
}

// Set replaces the configuration. It may be called before and during Run.
func (s *Shield) Set(cfg l4.Shield) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg, s.fixed = cfg, map[netip.Prefix]bool{}
	for _, n := range cfg.Deny {
		s.fixed[n] = true
	}
	s.tell()
}

// tell hands the list on. s.mu is held.
func (s *Shield) tell() {
	list := map[netip.Prefix]time.Time{}
	for n, o := range s.orders {
		list[n] = o.until
	}
	for n := range s.fixed {
		list[n] = time.Time{}
	}
	s.opt.Deny(list)
	select {
	case s.bell <- struct{}{}:
	default: // already rung
	}
}

// Run takes orders that have ended off the list, until ctx ends. It is ready
// at once.
func (s *Shield) Run(ctx context.Context, ready func()) error {
	ready()
	return s.watch(ctx, clocks())
}

// watch is Run by the given clocks. Orders end by the clock on the wall, as the
// file has it; timers and who drops the packets count by a steady one. A node
// without a clock of its own boots with a wrong one, which is set later: then
// everything is told anew.
func (s *Shield) watch(ctx context.Context, read func() instant) error {
	told := read()
	for {
		now := read()
		by, set := told.set(now)
		if set {
			told = now
			s.opt.Log.Info("the clock was set, denials end by the new time", "by", by)
		}
		wait := look
		if next := s.expire(now.wall, set); !next.IsZero() {
			wait = min(wait, next.Sub(now.wall))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		case <-s.bell:
		}
	}
}

// expire takes off what has ended, hands the list on where that is something
// or anew says so, and returns when more ends.
func (s *Shield) expire(now time.Time, anew bool) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.orders.standing(now)
	ended := len(left) < len(s.orders)
	if ended {
		for n, o := range s.orders {
			if o.over(now) {
				s.opt.Log.Info("denial ended", "network", n.String(), "since", o.since)
			}
		}
		// One that stays in the file is found ended by the next process.
		if err := left.write(s.opt.File); err != nil {
			s.opt.Log.Warn("denials are not written", "err", err)
		}
		s.orders = left
	}
	if ended || anew {
		s.tell()
	}
	return left.next()
}

// maxTime bounds how long an order stands that has an end: who wants more
// means for ever.
const maxTime = 365 * 24 * time.Hour

// An Order is one to deny a network, or with Off to let it in again.
type Order struct {
	// Network is an address or a network, as "192.0.2.0/24".
	Network string `json:"network"`
	// For is how long, as "90s" or "1h"; empty: until it is taken back.
	For string `json:"for,omitempty"`
	// Reason is what the list shows.
	Reason string `json:"reason,omitempty"`
	// Force denies it though it holds addresses of the node, of its peers, or
	// everybody.
	Force bool `json:"force,omitempty"`
	Off   bool `json:"off,omitempty"`
}

// Order does as o says, and keeps it in the file. A network that is denied
// already is denied as this order says from now on.
func (s *Shield) Order(o Order, now time.Time) error {
	n, err := l4.ParseNetwork(o.Network)
	if err != nil {
		return err
	}
	if o.Off {
		return s.allow(n, now)
	}
	made, err := o.make(now)
	if err != nil {
		return err
	}
	if err := s.opt.Works(); err != nil {
		return fmt.Errorf("nothing can be denied on this node: %w", err)
	}
	if err := refuse(n, s.opt.Friends()); err != nil && !o.Force {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.orders.standing(now)
	if changed[n] = made; len(changed)+len(s.fixed) > l4.MaxDenied {
		return fmt.Errorf("%d networks are denied, and more cannot be: deny larger ones", l4.MaxDenied)
	}
	return s.change(changed, true, n, made)
}

// make checks what an order says beside its network.
func (o Order) make(now time.Time) (made order, err error) {
	if err := soundReason(o.Reason); err != nil {
		return made, err
	}
	now = now.Round(0) // by the clock on the wall, as in the file
	made = order{since: now, reason: o.Reason}
	if o.For == "" {
		return made, nil
	}
	d, err := time.ParseDuration(o.For)
	if err != nil || d < time.Second || d > maxTime {
		return made, fmt.Errorf(`for %q: want a time from 1s to %dh, as "90s" or "1h"`, o.For, int(maxTime.Hours()))
	}
	made.until = now.Add(d)
	return made, nil
}

// allow takes an order back.
func (s *Shield) allow(n netip.Prefix, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.orders.standing(now)
	taken, ordered := changed[n]
	if !ordered {
		return s.notOrdered(n, changed)
	}
	delete(changed, n)
	return s.change(changed, false, n, taken)
}

// notOrdered says why there is nothing to take back. s.mu is held.
func (s *Shield) notOrdered(n netip.Prefix, orders orders) error {
	if s.fixed[n] {
		return fmt.Errorf("%s is denied by the configuration: take it out of l4.shield and reload", n)
	}
	for bits := n.Bits() - 1; bits >= 0; bits-- {
		wider, _ := n.Addr().Prefix(bits) // of a length that it has
		if _, ordered := orders[wider]; ordered {
			return fmt.Errorf("%s is not denied by itself, but within %s: delete that", n, wider)
		}
		if s.fixed[wider] {
			return fmt.Errorf("%s is denied within %s by the configuration: change l4.shield and reload", n, wider)
		}
	}
	return fmt.Errorf("%s is not denied: portico deny list shows what is", n)
}

// change makes orders the ones that stand. s.mu is held.
func (s *Shield) change(orders orders, on bool, n netip.Prefix, o order) error {
	// Written before it counts: an order that is forgotten at the next start is
	// worse than one that is refused now.
	if err := orders.write(s.opt.File); err != nil {
		return fmt.Errorf("remember the order: %w", err)
	}
	s.orders = orders
	s.opt.Log.Info("deny", "network", n.String(), "on", on, "until", o.until, "reason", o.reason)
	s.tell()
	return nil
}

// Who denies a network.
const (
	ByOrder         = "order"
	ByConfiguration = "configuration"
)

// A Denial is one network of the list.
type Denial struct {
	Network netip.Prefix `json:"network"`
	// By is "order" or "configuration".
	By string `json:"by"`
	// Since is when the order was given, Until when it ends; absent where
	// there is none, and no end.
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Packets is how many were dropped since the entry stands.
	Packets uint64 `json:"packets"`
}

// A List is what /api/v1/deny shows.
type List struct {
	// Fault is why nothing of it is dropped now; empty where it is.
	Fault   string   `json:"fault,omitempty"`
	Denials []Denial `json:"denials"`
}

// List returns all denials in order of their networks.
func (s *Shield) List(now time.Time) List {
	counts := s.opt.Denied()
	l := List{Denials: []Denial{}, Fault: s.fault()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.fixed {
		l.Denials = append(l.Denials, Denial{Network: n, By: ByConfiguration, Packets: counts[n]})
	}
	for n, o := range s.orders.standing(now) {
		if !s.fixed[n] {
			l.Denials = append(l.Denials, Denial{Network: n, By: ByOrder, Since: o.since, Until: o.until, Reason: o.reason, Packets: counts[n]})
		}
	}
	slices.SortFunc(l.Denials, func(a, b Denial) int { return a.Network.Compare(b.Network) })
	return l
}

func (s *Shield) fault() string {
	if err := s.opt.Works(); err != nil {
		return err.Error()
	}
	return ""
}

// A Status is what is to be dropped.
type Status struct {
	// Configured and Ordered are how many networks are denied.
	Configured int `json:"configured"`
	Ordered    int `json:"ordered"`
	// SYNRate is how many connections a second a source may open, 0 for any
	// number, SYNBurst how many at once.
	SYNRate  int `json:"syn_rate,omitempty"`
	SYNBurst int `json:"syn_burst,omitempty"`
	// NewFlows is how many new connections a second each processor remembers.
	NewFlows int `json:"new_flows,omitempty"`
	// SYNCookies is how many SYNs a second a port gets before others are
	// answered with cookies.
	SYNCookies int `json:"syn_cookies,omitempty"`
	// Fault is why nothing of it is in force; empty where it is, and where
	// nothing is to be dropped.
	Fault string `json:"fault,omitempty"`
}

// Status says how much there is to drop.
func (s *Shield) Status() Status {
	fault := s.fault()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Configured: len(s.fixed), Ordered: len(s.orders),
		SYNRate: s.cfg.SYNRate, SYNBurst: s.cfg.SYNBurst, NewFlows: s.cfg.NewFlows,
		SYNCookies: s.cfg.SYNCookies,
	}
	if cmp.Or(st.Configured, st.Ordered, st.SYNRate, st.SYNCookies) != 0 {
		st.Fault = fault
	}
	return st
}
