package l4

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// Settings that must stand otherwise while an order of operations is applied.
const (
	expireNodest = "expire_nodest_conn"
	sloppyTCP    = "sloppy_tcp"
)

// Diff returns the operations that turn have into want, in the order in which
// they must be applied. Services that are not ours are left alone, whatever
// they hold.
func Diff(have, want State, ours func(Key) bool) []Op {
	var ops, work, leave []Op
	ops = append(ops, diffSysctls(have.Sysctls, want.Sysctls)...)
	ops = append(ops, diffTimeouts(have.Timeouts, want.Timeouts)...)

	// Services that must go do so before others come: they are those of an
	// address that went to another node, which balances by now.
	wanted, stands := want.byKey(), have.byKey()
	for _, v := range have.Services {
		if ours(v.Key) && wanted[v.Key] == nil {
			ops = append(ops, Op{Kind: DelService, Service: VirtualService{Key: v.Key}})
		}
	}
	moved, sloppy := false, false
	for _, w := range want.Services {
		h := stands[w.Key]
		bare := w
		bare.Destinations = nil
		fresh := h == nil
		switch {
		case fresh:
			h = &VirtualService{}
			sloppy = sloppy || (w.Key.Protocol == TCP || w.Key.Mark != 0) && ordered(w.Scheduler)
			work = append(work, Op{Kind: AddService, Service: bare})
		case !h.sameSettings(w):
			work = append(work, Op{Kind: SetService, Service: bare})
		}
		d := diffDestinations(*h, w)
		if fresh {
			// Along with the service come its servers, up to the first that
			// needs more than to be added.
			add := &work[len(work)-1].Service
			for len(d.work) > 0 && d.work[0].Kind == AddDest {
				add.Destinations, d.work = append(add.Destinations, d.work[0].Dest), d.work[1:]
			}
		}
		work, leave, moved = append(work, d.work...), append(leave, d.leave...), moved || d.moved
	}
	now, known := have.Sysctls[expireNodest]
	if v := cmp.Or(want.Sysctls[expireNodest], now); moved && known && v != 0 {
		// Or the kernel would, a tick after a deletion (ip_vs_conn.c,
		// ip_vs_expire_nodest_conn_flush), end the connections of whichever
		// server is away just then. Their packets are dropped meanwhile, and
		// sent again.
		work = slices.Concat([]Op{setSysctl(expireNodest, 0)}, work, []Op{setSysctl(expireNodest, v)})
	}
	if now, known := have.Sysctls[sloppyTCP]; sloppy && known && want.Sysctls[sloppyTCP] == 1 {
		// Until a new owner announces itself, the old one balances, to this
		// node as well. Sloppy before it has all its servers, a service would
		// take the packets of connections that live here, and choose for them
		// among the few it has. Not sloppy, it lets them pass.
		ops = slices.DeleteFunc(ops, func(o Op) bool { return o.Kind == SetSysctl && o.Sysctl == sloppyTCP })
		if now != 0 {
			ops = append(ops, setSysctl(sloppyTCP, 0))
		}
		work = append(work, setSysctl(sloppyTCP, 1))
	}
	return slices.Concat(ops, work, diffDaemons(have.Daemons, want.Daemons), leave)
}

// sameSettings compares what SetService sets.
func (v VirtualService) sameSettings(o VirtualService) bool {
	return v.Scheduler == o.Scheduler && v.Flags == o.Flags && v.Persistence == o.Persistence && v.Prefix == o.Prefix
}

// sameSettings compares what SetDest sets, but for the weight.
func (d Destination) sameSettings(o Destination) bool {
	return d.Forward == o.Forward && d.Encap == o.Encap && d.Upper == o.Upper && d.Lower == o.Lower
}

func setSysctl(name string, value int) Op {
	return Op{Kind: SetSysctl, Sysctl: name, Value: value}
}

func diffSysctls(have, want map[string]int) []Op {
	var ops []Op
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := have[name]; ok && v != want[name] {
			ops = append(ops, setSysctl(name, want[name]))
		}
	}
	return ops
}

func diffTimeouts(have, want Timeouts) []Op {
	if want = want.or(have); have == want {
		return nil
	}
	return []Op{{Kind: SetTimeouts, Timeouts: want}}
}

// changes are what brings the destinations of one service to what is wanted.
type changes struct {
	// leave holds the deletions for good, work all the rest.
	work, leave []Op
	// moved is set when work takes a server away and brings it back.
	moved bool
}

// diffDestinations compares the destinations of one service. Who gains or
// comes is dealt with first and who goes last, so that there is always
// somebody to send to; only a service with a single server left, and that one
// in the wrong place, has none for an instant.
func diffDestinations(have, want VirtualService) (c changes) {
	stay := want.Destinations
	if ordered(want.Scheduler) {
		stay = stayers(have, want)
	}
	var gain, come, lose []Op
	// The kernel puts a new destination before all others, so they come in
	// reverse. One that stands in the wrong place leaves and comes again: for
	// that instant the others serve, and its connections, which the kernel
	// keeps, find it back.
	for _, w := range slices.Backward(want.Destinations) {
		h := have.Find(w.Addr)
		if h == nil {
			come = append(come, addDest(want, w)...)
			continue
		}
		now := *h
		if w.Weight > now.Weight {
			gain = append(gain, setWeight(want, now, w)...)
			now = w
		}
		if !slices.ContainsFunc(stay, at(w.Addr)) {
			c.moved = true
			come = append(come, destOp(DelDest, want, now))
			come = append(come, addDest(want, now)...)
			now.Base = max(now.Base, now.Weight)
		}
		lose = append(lose, setWeight(want, now, w)...)
	}
	for _, h := range have.Destinations {
		if want.Find(h.Addr) == nil {
			c.leave = append(c.leave, destOp(DelDest, want, h))
		}
	}
	c.work = slices.Concat(gain, come, lose)
	return c
}

// ordered reports whether a scheduler's choice depends on the order of the
// destinations (ip_vs_sh.c and ip_vs_mh.c walk them to fill their tables).
func ordered(scheduler string) bool { return scheduler == "sh" || scheduler == "mh" }

// stayers returns the destinations of want that may stay where they stand:
// the longest tail of want which have holds in the same order. All others
// have to be put before them.
func stayers(have, want VirtualService) []Destination {
	next := len(have.Destinations)
	for i, w := range slices.Backward(want.Destinations) {
		at := slices.IndexFunc(have.Destinations, at(w.Addr))
		if at < 0 || at > next {
			return want.Destinations[i+1:]
		}
		next = at
	}
	return want.Destinations
}

// addDest adds d. A server that is down and has a base is added with that
// base and then set to 0: the kernel builds mh's table from the latest weight
// that was not 0, so one added at 0 would have no rows, and this node would
// choose differently from one that saw the server fail later. What arrives
// between the two messages may meet a dead server; before a take-over is
// announced nothing does.
func addDest(v VirtualService, d Destination) []Op {
	if d.Weight != 0 || d.Base == 0 {
		return []Op{destOp(AddDest, v, d)}
	}
	full := d
	full.Weight = d.Base
	return []Op{destOp(AddDest, v, full), destOp(SetDest, v, d)}
}

// setWeight brings one destination from h to w: one message, or two when the
// base has to be set as well and the weight is 0, for the reason at addDest.
func setWeight(v VirtualService, h, w Destination) []Op {
	based := w.Base == 0 || h.Base == w.Base
	if w.Weight == 0 && !based {
		full := w
		full.Weight = w.Base
		return []Op{destOp(SetDest, v, full), destOp(SetDest, v, w)}
	}
	if h.Weight == w.Weight && h.sameSettings(w) {
		return nil
	}
	return []Op{destOp(SetDest, v, w)}
}

func destOp(kind OpKind, v VirtualService, d Destination) Op {
	d.Base, d.Active, d.Inactive, d.Persistent, d.Stats = 0, 0, 0, 0, Stats{}
	return Op{Kind: kind, Service: VirtualService{Key: v.Key}, Dest: d}
}

func at(addr netip.AddrPort) func(Destination) bool {
	return func(d Destination) bool { return d.Addr == addr }
}
