package lab

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// maxInFlight is how many unanswered requests a Prober keeps. A kernel under
// emulation could not stand many more.
const maxInFlight = 200

// A Prober sends a request again and again and writes down how it went.
type Prober struct {
	stop context.CancelFunc
	done chan struct{}
	send func(context.Context) (string, error)
	ok   atomic.Int64

	mu sync.Mutex // line
	tl Timeline
}

// Probe starts sending the request from inside the node, one each interval
// over a new connection of its own, whether the others have been answered or not.
func (n *Node) Probe(every time.Duration, r Request) *Prober {
	ctx, stop := context.WithCancel(n.lab.ctx)
	p := &Prober{stop: stop, done: make(chan struct{}), send: r.sender(n)}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	n.lab.wg.Go(func() {
		defer close(p.done)
		p.run(ctx, n.lab.ctx, every)
	})
	return p
}

// run sends until ctx ends, and lets requests under way end until hard does.
func (p *Prober) run(ctx, hard context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	start := time.Now()
	slots := make(chan struct{}, maxInFlight)
	var wg sync.WaitGroup
	defer func() {
		end := time.Since(start)
		wg.Wait()
		p.tl.End = end
	}()
	for {
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				a := Attempt{Sent: time.Since(start)}
				a.Server, a.Err = p.send(hard)
				a.Ended = time.Since(start)
				if a.Err == nil {
					p.ok.Add(1)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				p.tl.Attempts = append(p.tl.Attempts, a)
			})
		default:
			p.tl.Skipped++
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// OK is how many requests have been answered so far, for tests that wait until
// service is there, or there again.
func (p *Prober) OK() int { return int(p.ok.Load()) }

// Stop sends no more, waits for what is under way, and returns all that
// happened.
func (p *Prober) Stop() Timeline {
	p.stop()
	<-p.done
	return p.tl
}
