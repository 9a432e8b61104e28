package backend

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// TestReaper shows that a Reaper looks at a pool from when it keeps a connection
// until it keeps none, and closes what is too old.
func TestReaper(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, clock := poolAt(t, Default(), netip.MustParseAddrPort(l.Addr().String()))
	watched := func(want int) {
		t.Helper()
		if p.reaper.Reap(); len(p.reaper.pools) != want {
			t.Fatalf("%d pools are looked at, want %d", len(p.reaper.pools), want)
		}
	}
	for range 2 { // it comes back
		watched(0)
		b, refusal := p.Connect(context.Background(), &Call{Idempotent: true})
		if refusal != 0 {
			t.Fatal(refusal)
		}
		watched(0)
		b.Release(true)
		watched(1)
		watched(1)
		*clock += manual(Default().Timeouts.Idle + time.Second)
		watched(0)
		if n := p.Status().Endpoints[0].Idle; n != 0 {
			t.Fatalf("%d idle connections", n)
		}
	}
}

// TestReaperMissesNone shows that no connection is forgotten that is put back
// while a Reaper looks.
func TestReaperMissesNone(t *testing.T) {
	var r Reaper
	e := &Endpoint{pool: &Pool{reaper: &r, now: func() int64 { return 0 }}}
	e.pool.plan.Store(&plan{policy: new(Default()), endpoints: []*Endpoint{e}})
	for range 2000 {
		var both sync.WaitGroup
		both.Go(func() { e.put(&Conn{ep: e}, 0) })
		both.Go(r.Reap)
		both.Wait()
		if len(r.pools) != 1 {
			t.Fatal("a connection is kept that nobody looks at")
		}
		e.take(time.Minute, 0)
		if r.Reap(); len(r.pools) != 0 {
			t.Fatal("a pool is looked at that keeps nothing")
		}
	}
}
