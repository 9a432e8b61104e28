package l4_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
)

// Who is kept while nobody is up. The checks of checkOf take 3 x 2.2 s + 1 s
// to tell, 7.6 s.
func TestKeepWhoFellLast(t *testing.T) {
	now := time.Unix(1e9, 0)
	fell := func(ago time.Duration) health.State {
		return health.State{Known: true, Fell: true, Since: now.Add(-ago)}
	}
	never := health.State{Known: true, Since: now}
	for name, tt := range map[string]struct {
		states [3]health.State
		weight int // that the third has in the file
		want   string
	}{
		"together":                  {[3]health.State{fell(10 * time.Second), fell(13 * time.Second), fell(17600 * time.Millisecond)}, 1, "10.0.0.1*1 10.0.0.2*1 10.0.0.3*1"},
		"one long before":           {[3]health.State{fell(10 * time.Second), fell(13 * time.Second), fell(17601 * time.Millisecond)}, 1, "10.0.0.1*1 10.0.0.2*1 10.0.0.3*0"},
		"one by one":                {[3]health.State{fell(time.Hour), fell(time.Minute), fell(time.Second)}, 1, "10.0.0.1*0 10.0.0.2*0 10.0.0.3*1"},
		"one came down":             {[3]health.State{fell(time.Hour), fell(time.Hour), never}, 1, "10.0.0.1*1 10.0.0.2*1 10.0.0.3*0"},
		"all from the beginning":    {[3]health.State{never, never, never}, 1, "10.0.0.1*1 10.0.0.2*1 10.0.0.3*1"},
		"the last is out by weight": {[3]health.State{fell(time.Hour), fell(time.Hour), fell(0)}, 0, "10.0.0.1*1 10.0.0.2*1 10.0.0.3*0"},
		"one up that wants nothing": {[3]health.State{fell(time.Hour), fell(0), {Known: true, Up: true, Since: now.Add(-24 * time.Hour)}}, 1, "10.0.0.1*0 10.0.0.2*1 10.0.0.3*1"},
	} {
		s := service("rr", vip4, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		s.Servers[2].Weight, s.Servers[2].Check.WeightFrom = tt.weight, "body"
		states := map[health.Check]health.State{}
		for i, r := range s.Servers {
			states[r.Check] = tt.states[i]
		}
		in := l4.Inputs{Now: now, Health: health.NewSnapshot(states), Owned: everywhere}
		for _, serves := range []int{-1, 0, 1, 2} {
			v := l4.VirtualService{Key: key(80)}
			for i, r := range s.Servers {
				d := l4.Destination{Addr: r.Addr}
				if i == serves {
					d.Weight = 1
				}
				v.Destinations = append(v.Destinations, d)
			}
			in.Have = l4.State{Services: []l4.VirtualService{v}}
			if diff := cmp.Diff(tt.want, weights(l4.Plan(l4.Config{Services: []l4.Service{s}}, in))); diff != "" {
				t.Errorf("%s, server %d served (-want +got):\n%s", name, serves, diff)
			}
		}
	}
}

// A check breaks for three servers at once while the fourth has been down for
// long: the owner, its successor, and the owner after a restart keep the same
// three.
func TestKeepIsTheSameEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service("mh", vip4, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		cfg := l4.Config{Services: []l4.Service{s}}
		var down func(netip.AddrPort) bool
		watch := func(file string, span time.Duration) *health.Monitor {
			m := health.New(health.Options{
				Log: slog.New(slog.DiscardHandler), StateFile: file,
				Probe: func(_ context.Context, c health.Check) (health.Answer, error) {
					if down(c.Target) {
						return health.Answer{}, errors.New("timeout after 1s")
					}
					return health.Answer{Percent: 100}, nil
				},
			})
			m.Set(cfg.Checks())
			ctx, cancel := context.WithTimeout(t.Context(), span)
			defer cancel()
			if err := m.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
			return m
		}
		begin := time.Now()
		down = func(a netip.AddrPort) bool {
			after := time.Since(begin)
			return after > 10*time.Second && a == s.Servers[3].Addr || after > time.Minute
		}
		dir := t.TempDir()
		monitors := map[string]*health.Monitor{}
		done := make(chan *health.Monitor)
		go func() { done <- watch("", 2*time.Minute) }()
		watch(filepath.Join(dir, "health.json"), 90*time.Second)
		monitors["after a restart"] = watch(filepath.Join(dir, "health.json"), 30*time.Second)
		monitors["elsewhere"] = <-done
		for name, m := range monitors {
			got := weights(l4.Plan(cfg, l4.Inputs{Now: time.Now(), Health: m.Snapshot(), Owned: everywhere}))
			if diff := cmp.Diff("10.0.0.1*1 10.0.0.2*1 10.0.0.3*1 10.0.0.4*0", got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}
