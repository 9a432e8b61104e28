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
	c    *Call
	turn uint64
	// got takes one value: an endpoint on which the request is counted, or nil
	// when there is none left for it.
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
// none in time, or too many wait already, and Late when it is the call's time
// that is over.
func (p *Pool) wait(ctx context.Context, c *Call, turn uint64, l Limit) (*Endpoint, Refusal) {
	w := &waiter{c: c, turn: turn, got: make(chan *Endpoint, 1)}
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

	refusal := Busy
	if left := time.Duration(c.Until - p.now()); c.Until != 0 && left < l.Wait {
		l.Wait, refusal = left, Late
	}
	timer := time.NewTimer(l.Wait)
	defer timer.Stop()
	select {
	case e := <-w.got:
		return e, 0
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.giveUp(w, refusal)
}

// giveUp takes w out of the queue for a reason, unless it was served meanwhile.
func (p *Pool) giveUp(w *waiter, r Refusal) (*Endpoint, Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting, w)
	if i < 0 {
		return <-w.got, 0
	}
	p.dequeue(i)
	p.rejected++
	return nil, r
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
	for i := 0; i < len(p.waiting); {
		w := p.waiting[i]
		e, f := p.seat(w.c, w.turn)
		switch {
		case f != full:
			p.dequeue(i)
			w.got <- e
		case len(w.c.tried) == 0 && len(w.c.Token) == 0:
			return // nor is there room for anybody else
		default:
			i++
		}
	}
}

// seat counts a request of c on the endpoint whose turn it is. No endpoint and
// full say that none has room, no endpoint alone that there is none.
func (p *Pool) seat(c *Call, turn uint64) (*Endpoint, fitness) {
	for {
		pl := p.plan.Load()
		e, f := pl.pick(c, turn, p.now())
		switch {
		case e == nil:
			return nil, tried
		case f == full || f == blocked:
			return nil, full
		case e.enter(pl.policy.Limit.Requests):
			return e, f
		}
		// Another one was quicker.
	}
}
