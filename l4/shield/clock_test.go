package shield

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSet(t *testing.T) {
	start := instant{wall: time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC), steady: 9 * time.Second}
	for _, tt := range []struct {
		wall, steady time.Duration
		by           time.Duration
		much         bool
	}{
		{0, 0, 0, false},
		{time.Hour, time.Hour, 0, false},
		{time.Hour + time.Second, time.Hour, time.Second, false},
		{time.Hour - time.Second, time.Hour, -time.Second, false},
		{time.Hour + 2*time.Second, time.Hour, 2 * time.Second, true},
		{-time.Hour, time.Minute, -61 * time.Minute, true},
		{9 * time.Hour, 0, 9 * time.Hour, true},
	} {
		by, much := start.set(instant{start.wall.Add(tt.wall), start.steady + tt.steady})
		if by != tt.by || much != tt.much {
			t.Errorf("%v by the wall, %v by the other: %v %v, want %v %v", tt.wall, tt.steady, by, much, tt.by, tt.much)
		}
	}
}

// TestClockIsSet has who drops the packets told of every setting of the clock,
// and orders end by the new time.
func TestClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(plane)
		s := p.shield(filepath.Join(t.TempDir(), "denials"))
		told := 0
		s.opt.Deny = func(list map[netip.Prefix]time.Time) { told++; p.deny(list) }
		for network, d := range map[string]string{"192.0.2.1": "1h", "192.0.2.2": "24h"} {
			if err := s.Order(Order{Network: network, For: d}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		var ahead atomic.Int64
		start := time.Now()
		read := func() instant {
			return instant{wall: time.Now().Round(0).Add(time.Duration(ahead.Load())), steady: time.Since(start)}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.watch(ctx, read) }()
		for _, step := range []struct {
			ahead time.Duration
			times int
			want  string
		}{
			{0, 0, "192.0.2.1/32(1h0m0s) 192.0.2.2/32(24h0m0s)"},
			{30 * time.Minute, 1, "192.0.2.1/32(1h0m0s) 192.0.2.2/32(24h0m0s)"},
			{30 * time.Minute, 0, "192.0.2.1/32(1h0m0s) 192.0.2.2/32(24h0m0s)"},
			{-time.Hour, 1, "192.0.2.1/32(1h0m0s) 192.0.2.2/32(24h0m0s)"},
			{2 * time.Hour, 1, "192.0.2.2/32(24h0m0s)"},
		} {
			before := told
			ahead.Store(int64(step.ahead))
			<-time.After(look + time.Second)
			synctest.Wait()
			if got := p.text(start); got != step.want || told-before != step.times {
				t.Errorf("%v ahead: told %d times, want %d; denied %s, want %s", step.ahead, told-before, step.times, got, step.want)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(fmt.Errorf("watch: %w", err))
		}
	})
}
