package backend

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func limited(requests, queue int, wait time.Duration) Policy {
	policy := Default()
	policy.Limit = Limit{Requests: requests, Queue: queue, Wait: wait}
	return policy
}

// TestQueue shows who waits, in which order they are served, and who is turned
// away.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, limited(1, 2, time.Second), 1)
		e := p.plan.Load().endpoints[0]
		ctx := context.Background()
		reach := func() Refusal {
			_, refusal := p.reach(ctx, &Call{})
			return refusal
		}
		if reach() != 0 {
			t.Fatal("the first has no room")
		}
		served := make(chan int, 2)
		var group sync.WaitGroup
		for i := range 2 {
			group.Go(func() {
				if reach() == 0 {
					served <- i
				}
			})
			synctest.Wait()
		}
		if r := reach(); r != Busy || r.Status() != 503 {
			t.Errorf("the fourth: %v", r)
		}
		if s := p.Status(); s.Queued != 2 || s.Rejected != 1 || s.Endpoints[0].InFlight != 1 {
			t.Errorf("%+v", s)
		}
		e.leave()
		synctest.Wait()
		if got := <-served; got != 0 {
			t.Error("the second was served first")
		}
		group.Wait() // the other one's time passes
		if s := p.Status(); s.Queued != 0 || s.Rejected != 2 || s.Endpoints[0].InFlight != 1 {
			t.Errorf("%+v", s)
		}
		e.leave()
	})
}

// TestQueueEnds shows what else ends the wait.
func TestQueueEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(p *Pool, cancel func())
		want Refusal
	}{
		"the client goes":           {func(_ *Pool, cancel func()) { cancel() }, Busy},
		"another endpoint comes":    {func(p *Pool, _ func()) { p.Set(addrs(2)) }, 0},
		"the limit rises":           {func(p *Pool, _ func()) { p.SetPolicy(new(limited(2, 1, time.Minute))) }, 0},
		"the limit is lifted":       {func(p *Pool, _ func()) { p.SetPolicy(new(Default())) }, 0},
		"all endpoints go":          {func(p *Pool, _ func()) { p.Set(nil) }, NoEndpoint},
		"only another endpoint has": {func(p *Pool, _ func()) { p.Set(addrs(3)[1:]) }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := newPool(t, limited(1, 1, time.Minute), 1)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			p.reach(ctx, &Call{})
			var refusal Refusal
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, refusal = p.reach(ctx, &Call{})
			}()
			synctest.Wait()
			tc.end(p, cancel)
			synctest.Wait()
			select {
			case <-done:
			default:
				t.Errorf("%s: waits on", name)
			}
			<-done
			if refusal != tc.want {
				t.Errorf("%s: %v, want %v", name, refusal, tc.want)
			}
			if n := p.queued.Load(); n != 0 || len(p.waiting) != 0 {
				t.Errorf("%s: %d in the queue", name, n)
			}
		})
	}
}

// TestQueueUntil shows that nobody waits beyond the time of the request.
func TestQueueUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, limited(1, 10, time.Minute), 1)
		p.reach(context.Background(), &Call{})
		begun := time.Now()
		if _, refusal := p.reach(context.Background(), &Call{Until: int64(time.Second)}); refusal != Late || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", refusal, time.Since(begun))
		}
	})
}

// TestQueueOfSticky shows that a client waits for its endpoint while another one
// has room, which others are given meanwhile.
func TestQueueOfSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := limited(1, 10, time.Minute)
		policy.Sticky.Cookie = "edge"
		p, _ := newPool(t, policy, 2)
		mine, _ := p.reach(context.Background(), &Call{})
		c := Call{Token: []byte(mine.affinity.Load().token)}
		got := make(chan *Endpoint)
		go func() {
			e, _ := p.reach(context.Background(), &c)
			got <- e
		}()
		synctest.Wait()
		if e, refusal := p.reach(context.Background(), &Call{}); refusal != 0 || e == mine {
			t.Errorf("another client: %v", refusal)
		}
		mine.leave()
		if <-got != mine {
			t.Error("did not wait for its endpoint")
		}
		c.tried = append(c.tried, mine)
		mine.leave()
		p.plan.Load().endpoints[0].inFlight.Store(0)
		p.plan.Load().endpoints[1].inFlight.Store(0)
		if e, _ := p.reach(context.Background(), &c); e == mine || e == nil {
			t.Error("not elsewhere once it was tried")
		}
		c.tried = p.plan.Load().endpoints
		if _, refusal := p.reach(context.Background(), &c); refusal != Exhausted {
			t.Errorf("all tried: %v", refusal)
		}
	})
}

// TestQueueOfEjected shows that those that wait are served by endpoints that
// are out, where there is no other.
func TestQueueOfEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, limited(1, 10, time.Minute), 2)
		a, _ := p.reach(context.Background(), &Call{})
		b, _ := p.reach(context.Background(), &Call{})
		got := make(chan *Endpoint)
		go func() {
			e, _ := p.reach(context.Background(), &Call{})
			got <- e
		}()
		synctest.Wait()
		a.report(NoConnection, nil, p.now())
		b.report(NoConnection, nil, p.now())
		a.leave()
		if <-got != a {
			t.Error("not served")
		}
	})
}

// TestQueueUnderLoad has many ask for few places while endpoints come and go:
// nobody is forgotten, and the bound holds.
func TestQueueUnderLoad(t *testing.T) {
	const most = 3
	p, _ := newPool(t, limited(most, 100, time.Minute), 2)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 200 {
				e, refusal := p.reach(context.Background(), &Call{})
				if refusal != 0 {
					t.Errorf("refused: %v", refusal)
					return
				}
				if n := e.inFlight.Load(); n > most {
					t.Errorf("%d in flight", n)
				}
				e.leave()
			}
		})
	}
	for i := range 200 {
		p.Set(addrs(1 + i%4))
	}
	group.Wait()
	if n := p.queued.Load(); n != 0 {
		t.Errorf("%d in the queue", n)
	}
	for _, e := range p.plan.Load().endpoints {
		if n := e.inFlight.Load(); n != 0 {
			t.Errorf("%v has %d in flight", e.Addr(), n)
		}
	}
}

// TestQueueOrder shows that nobody who just came is served before those that
// wait, even in the moment when a place is free.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, limited(1, 10, time.Minute), 1)
		e, _ := p.reach(context.Background(), &Call{})
		order := make(chan int, 2)
		var group sync.WaitGroup
		for i := range 2 {
			if i == 1 {
				e.inFlight.Add(-1)
			}
			group.Go(func() {
				p.reach(context.Background(), &Call{})
				order <- i
				e.leave()
			})
			if i == 0 {
				synctest.Wait()
			}
		}
		group.Wait()
		if <-order != 0 {
			t.Error("overtaken")
		}
	})
}

// TestConnect shows that endpoints that take no connection are passed over,
// that their requests in flight are not counted any more, and what is said when
// there is no other.
func TestConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	l, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := poolAt(t, Default(), dead, netip.MustParseAddrPort(l.Addr().String()))
	for range 4 {
		b, refusal := p.Connect(context.Background(), &Call{})
		if refusal != 0 || b.Endpoint().Addr() == dead {
			t.Fatalf("%v", refusal)
		}
		b.Release(false)
	}
	s := p.Status()
	if e := s.Endpoints[0]; e.FailedDials != 1 || e.InFlight != 0 || e.Ejected == nil || s.Retries != 1 {
		t.Errorf("%+v", s)
	}
	// Listed as out, it is the only one; a dial that goes well says otherwise.
	p, _ = poolAt(t, Default(), netip.MustParseAddrPort(l.Addr().String()))
	p.plan.Load().endpoints[0].report(NoConnection, nil, 0)
	b, refusal := p.Connect(context.Background(), &Call{})
	if refusal != 0 || p.Status().Endpoints[0].Ejected != nil {
		t.Errorf("%v, %+v", refusal, p.Status())
	}
	b.Release(false)
	p, _ = poolAt(t, Default(), dead)
	for range 2 {
		if _, refusal := p.Connect(context.Background(), &Call{}); refusal != Unreachable || refusal.Status() != 502 {
			t.Errorf("%v", refusal)
		}
	}
}
