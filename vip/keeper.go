package vip

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/announce"
)

const (
	// syncLimit bounds Options.Sync: a stuck neighbour part must not keep the
	// addresses from moving.
	syncLimit = 500 * time.Millisecond
	// lookEvery is for changes that no message told of.
	lookEvery = 10 * time.Second
	// calmDown is the least time between two rounds that the kernel's
	// messages cause: a tool that removes an address in a loop gets an
	// answer ten times a second.
	calmDown = 100 * time.Millisecond
)

// keeper makes the kernel match what the routers decided. All its methods but
// noticed run in one goroutine.
type keeper struct {
	m      *Manager
	log    *slog.Logger
	memory *addr.Memory
	bell   chan struct{} // rung by noticed

	owned     map[string]bool // groups owned in the latest round
	settled   []addr.Address  // what the latest round reached without a fault, else nil
	announced map[*router]announce.Group
	warned    map[string]bool // interfaces whose rp_filter was reported
	relevant  struct {        // what noticed looks for, and found
		mu     sync.Mutex
		groups []addr.Group
		moved  map[string]uint64 // interfaces of groups: how often
	}
}

func newKeeper(m *Manager, memory *addr.Memory) *keeper {
	k := &keeper{m: m, log: m.opts.Log, memory: memory, bell: make(chan struct{}, 1), warned: map[string]bool{}}
	k.relevant.moved = map[string]uint64{}
	return k
}

// noticed rings for changes that concern the groups.
func (k *keeper) noticed(c addr.Change) {
	k.relevant.mu.Lock()
	defer k.relevant.mu.Unlock()
	if c == (addr.Change{}) || slices.ContainsFunc(k.relevant.groups, func(g addr.Group) bool { return g.Concerns(c) }) {
		if c.Moved {
			k.relevant.moved[c.Link]++
		}
		ring(k.bell)
	}
}

// moves counts how often the interface moved in the eyes of its neighbours.
func (k *keeper) moves(link string) uint64 {
	k.relevant.mu.Lock()
	defer k.relevant.mu.Unlock()
	return k.relevant.moved[link]
}

// first is the round before VRRP starts. Without the needed privilege there
// is no point in going on: an Active must be able to put up its addresses.
func (k *keeper) first(ctx context.Context) error {
	err := k.round(ctx)
	if err == nil && len(k.settled) > 0 {
		// The kernel may have had all there is to have. It asks for the
		// privilege before it says that the address is there.
		err = addr.Apply(addr.Op{Add: true, Address: k.settled[0]})
	}
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // shown in the status, and tried again
}

// run repeats rounds until ctx ends, and then does the last one.
func (k *keeper) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	last, next := time.Now(), time.Now()
	for {
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return k.round(ctx)
		case <-k.m.work:
		case <-k.m.prober.Changed():
			k.insist(k.m.list())
			continue
		case <-k.bell:
			if quiet := last.Add(calmDown); time.Now().Before(quiet) {
				if quiet.Before(next) {
					next = quiet
				}
				continue
			}
		case <-timer.C:
		}
		err := k.round(ctx)
		last = time.Now()
		next = last.Add(lookEvery)
		if err != nil {
			next = last.Add(retryAfter)
		}
	}
}

// round reads the kernel, compares and corrects, in the order that a change of
// owner needs: addresses come up, then the services that stand on them (Sync),
// then they are announced; services go (Sync) before their address does.
func (k *keeper) round(ctx context.Context) error {
	routers := k.m.list()
	k.insist(routers)
	groups, owned := wanted(routers)
	k.relevant.mu.Lock()
	k.relevant.groups = groups
	k.relevant.mu.Unlock()

	have, err := addr.Read()
	if err != nil {
		return k.report(err)
	}
	for _, r := range routers {
		g, _, _ := r.config()
		r.setLink(have.Links[g.Interface])
	}
	k.observe(routers, have)
	errs := []error{k.sysctls(have, groups)}

	want := addr.Want(groups)
	ops := addr.Diff(have.Addrs, want, addr.Ours(groups, k.memory.Addresses()))
	if errs[0] != nil {
		// An address on lo that answers ARP would take the owner's traffic.
		ops = slices.DeleteFunc(ops, func(o addr.Op) bool { return o.Add && o.Link == addr.Loopback })
	}
	up, down := split(ops)
	if _, now := wanted(routers); !maps.Equal(now, owned) {
		// A router changed its mind while the kernel was read: an address must
		// not come up for one that has yielded already.
		ring(k.m.work)
		return k.report(errors.Join(errs...))
	}
	errs = append(errs, k.remember(up), k.apply(up, slices.Equal(k.settled, want)))
	if !maps.Equal(owned, k.owned) {
		k.sync(ctx)
	}
	k.owned = owned
	errs = append(errs, k.apply(k.unwanted(down, routers), false))
	k.announce(routers, owned, have)

	err = errors.Join(errs...)
	if k.settled = want; err != nil {
		k.settled = nil
	} else {
		err = k.memory.Forget(func(a addr.Address) bool { return slices.Contains(want, a) }, func(addr.Sysctl) bool { return true })
	}
	return k.report(err)
}

// wanted translates the routers' views.
func wanted(routers []*router) (groups []addr.Group, owned map[string]bool) {
	owned = map[string]bool{}
	for _, r := range routers {
		g, v := r.read()
		groups = append(groups, addr.Group{Interface: g.Interface, Addrs: g.Addresses, Owned: v.owned, Routed: g.Owner == OwnerBGP})
		if v.owned {
			owned[g.Name] = true
		}
	}
	return groups, owned
}

// unwanted returns those of the removals that are still right. Sync takes time,
// in which a group may have become ours again: its address must then not go
// and come back. The router has rung for the next round, which sees to the rest.
func (k *keeper) unwanted(down []addr.Op, routers []*router) []addr.Op {
	groups, _ := wanted(routers)
	want := addr.Want(groups)
	return slices.DeleteFunc(down, func(o addr.Op) bool { return slices.Contains(want, o.Address) })
}

// split parts the ops after the last addition.
func split(ops []addr.Op) (up, down []addr.Op) {
	i := len(ops)
	for i > 0 && !ops[i-1].Add {
		i--
	}
	return ops[:i], ops[i:]
}

// remember notes what is about to come up, before it does.
func (k *keeper) remember(ops []addr.Op) error {
	var as []addr.Address
	for _, o := range ops {
		if o.Add {
			as = append(as, o.Address)
		}
	}
	return k.memory.Note(as, nil)
}

// apply does what it can and goes on after a fault: other groups' addresses
// are not to suffer. repair says that the latest round had reached all this.
func (k *keeper) apply(ops []addr.Op, repair bool) error {
	var errs []error
	for _, o := range ops {
		if err := addr.Apply(o); err != nil {
			errs = append(errs, err)
			continue
		}
		if repair {
			k.log.Warn("virtual address put back after another removed it", "op", o)
		} else {
			k.log.Info("virtual address changed", "op", o)
		}
	}
	return errors.Join(errs...)
}

func (k *keeper) sync(ctx context.Context) {
	if k.m.opts.Sync == nil {
		return
	}
	// At the end of Run too it gets its time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), syncLimit)
	defer cancel()
	k.m.opts.Sync(ctx)
	if ctx.Err() != nil {
		k.log.Warn("services not in step with the virtual addresses in time", "limit", syncLimit)
	}
}

// sysctls sets what an address on lo needs, remembering what was there.
func (k *keeper) sysctls(have addr.State, groups []addr.Group) error {
	var names []string
	for _, g := range groups {
		if _, exists := have.Links[g.Interface]; exists {
			names = append(names, g.Interface)
		}
	}
	if len(names) == 0 {
		return nil
	}
	for _, n := range names {
		if !k.warned[n] && addr.StrictReversePath(n) {
			k.log.Warn("rp_filter=1 may drop what another director forwards: set 0 or 2", "interface", n)
		}
		k.warned[n] = true
	}
	for _, s := range addr.Sysctls(names) {
		found, err := addr.ReadSysctl(s.Name)
		if err != nil {
			return err
		}
		if found == s.Value {
			continue
		}
		if err := k.memory.Note(nil, []addr.Sysctl{{Name: s.Name, Value: found}}); err != nil {
			return err
		}
		if err := addr.WriteSysctl(s); err != nil {
			return err
		}
		k.log.Info("sysctl changed", "sysctl", s, "before", found)
	}
	return nil
}

// report shows err in the status and logs it when it is news.
func (k *keeper) report(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	k.m.mu.Lock()
	news := k.m.lastError != text
	k.m.lastError = text
	k.m.mu.Unlock()
	if news && err != nil {
		k.log.Error("virtual addresses not as wanted", "err", err)
	}
	return err
}
