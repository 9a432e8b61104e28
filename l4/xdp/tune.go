package xdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// tunables are what a program is loaded with (bpf/tunables.h): others need
// another program, on the same maps.
type tunables struct {
	synInterval, synBurst time.Duration
	newFlows              int // 0: as the program has it
	// cookies says that SYNs are shown to who answers them with cookies.
	cookies bool
}

// tune returns what a Shield means to the program: who may open rate
// connections a second, and burst at once, runs ahead of one every 1/rate by
// burst - 1 of them.
func tune(s l4.Shield) tunables {
	t := tunables{newFlows: s.NewFlows, cookies: s.SYNCookies > 0}
	if s.SYNRate > 0 {
		t.synInterval = time.Second / time.Duration(s.SYNRate)
		t.synBurst = time.Duration(s.SYNBurst-1) * t.synInterval
	}
	return t
}

// set leaves one program to be loaded, and sets its variables.
func (t tunables) set(spec *ebpf.CollectionSpec) error {
	other := bpf.L4ProgPorticoL4Cookies
	if t.cookies {
		other = bpf.L4ProgPorticoL4
	}
	delete(spec.Programs, other)
	values := map[string]uint64{bpf.L4VarSynIntervalNs: uint64(t.synInterval), bpf.L4VarSynBurstNs: uint64(t.synBurst)}
	if t.newFlows > 0 {
		values[bpf.L4VarFloodRate] = uint64(t.newFlows)
	}
	for name, v := range values {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// tune has a program with other tunables, if they are others, ready for the
// exchange with the one that runs: maps and known connections stay.
func (l *life) tune(t tunables, limit time.Duration) error {
	have := l.open
	if have.tunables == t {
		return have.untuned
	}
	next, err := l.load(request{sizes: have.sizes, tunables: t, limit: limit})
	if err != nil {
		have.tunables, have.untuned = t, fmt.Errorf("the shield stays as it was: %w", err)
		return have.untuned
	}
	l.mu.Lock()
	l.open = next
	err = next.beat(limit) // its maps are others where those were damaged
	l.mu.Unlock()
	for _, h := range l.held {
		h.ours = false
	}
	return errors.Join(err, have.close(), have.prog.Close())
}

// denying has the program ask its list of denied networks, or not, from now on.
func (l *life) denying(on bool, limit time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.denying == on {
		return nil
	}
	l.open.denying = on
	return l.open.beat(limit)
}
