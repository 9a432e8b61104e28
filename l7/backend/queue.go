package backend

import (
	"context"
	"slices"
	"time"
)

// Limit bounds what endpoints have to do at once.
type Limit struct {
	// Requests is how many an endpoint may have in flight, tunnels included;
	// 0 is no limit.
	Requests int
	// Queue is how many may wait for an endpoint, Wait for how long each.
	Queue int
	Wait  time.Duration
}

// A waiter is a request that waits for an endpoint that has room.
type waiter struct {
	c *Call
	// got takes one value: an endpoint on which the request is counted, or nil
	// when there is no endpoint any more.
	got chan *Endpoint
}

// enter counts a request in flight unless there are most already; 0 is no
// limit.
func (e *Endpoint) enter(most int) bool {
	if most == 0 {
		e.inFlight.Add(1)
		return true
	}
	for {
		n := e.inFlight.Load()
		if n >= int64(most) {
			return false
		}
		if e.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave ends a request and lets one that waits have its place.
func (e *Endpoint) leave() {
	e.inFlight.Add(-1)
	// A waiter is counted first and looks then, so that one of the two sees
	// the other.
	if e.pool.queued.Load() > 0 {
		e.pool.serveQueue()
	}
}

// wait queues for an endpoint that has room. The refusal is Busy when there is
// none in time, or too many wait already.
func (p *Pool) wait(ctx context.Context, c *Call, l Limit) (*Endpoint, Refusal) {
	w := &waiter{c: c, got: make(chan *Endpoint, 1)}
	p.mu.Lock()
	if len(p.waiting) >= l.Queue {
		p.rejected++
		p.mu.Unlock()
		return nil, Busy
	}
	p.waiting = append(p.waiting, w)
	p.queued.Store(int32(len(p.waiting)))
	p.mu.Unlock()
	p.serveQueue()

	timer := time.NewTimer(l.Wait)
	defer timer.Stop()
	select {
	case e := <-w.got:
		return e, 0
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.giveUp(w)
}

// giveUp takes w out of the queue, unless it was served meanwhile.
func (p *Pool) giveUp(w *waiter) (*Endpoint, Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting, w)
	if i < 0 {
		return <-w.got, 0
	}
	p.dequeue(i)
	p.rejected++
	return nil, Busy
}

// dequeue takes out the waiter at i. The caller holds mu.
func (p *Pool) dequeue(i int) {
	p.waiting = slices.Delete(p.waiting, i, i+1)
	p.queued.Store(int32(len(p.waiting)))
}

// serveQueue gives those that wait what room there is, who came first first.
func (p *Pool) serveQueue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.plan.Load()
	for i := 0; i < len(p.waiting); {
		w := p.waiting[i]
		e := pl.vacant(w.c)
		if e == nil && len(pl.endpoints) > 0 {
			i++
			continue
		}
		p.dequeue(i)
		w.got <- e
	}
}

// vacant counts a request of c on an endpoint that has room, and returns that;
// nil where none has.
func (pl *plan) vacant(c *Call) *Endpoint {
	for _, e := range pl.endpoints {
		if e.out.Load() == 0 && !slices.Contains(c.tried, e) && e.enter(pl.policy.Limit.Requests) {
			return e
		}
	}
	return nil
}
