package vip

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/announce"
)

// bursts is what a group has announced and what it has still to announce.
type bursts struct {
	announce.Schedule
	acquired, disputed uint64
}

// announce sends the bursts that are due.
func (k *keeper) announce(routers []*router, now time.Time) error {
	var errs []error
	maps.DeleteFunc(k.announced, func(r *router, _ *bursts) bool { return !slices.Contains(routers, r) })
	for _, r := range routers {
		g, v := r.read()
		b := k.announced[r]
		if b == nil {
			b = &bursts{}
			k.announced[r] = b
		}
		switch {
		case !v.owned:
			b.Stop()
		case b.acquired != v.acquired:
			b.Start(now)
		case b.disputed != v.disputed:
			b.Again(now)
		}
		b.acquired, b.disputed = v.acquired, v.disputed
		if b.Take(now) {
			if err := announce.Burst(g.Interface, g.addrs()); err != nil {
				errs = append(errs, fmt.Errorf("group %s: %w", g.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}
