package vip

import (
	"context"
	"fmt"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

const (
	// lingering is how long a node goes on serving what it has withdrawn:
	// routers act on it within milliseconds where they are neighbors, and
	// what they sent before is on its way.
	lingering = time.Second
	// trackLimit is how long a start waits for the first results of tracking.
	// Routers keep the routes of a process that died for longer.
	trackLimit = 5 * time.Second
)

// routed is what a group with owner bgp hears from others; under router.mu.
type routed struct {
	fault   string // why it must not be announced; "" when it may
	pending bool   // nothing is known of that yet
	heard   int    // sessions in which it is announced
}

// hear tells the router in how many sessions its group can be announced.
func (r *router) hear(sessions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routed.heard != sessions {
		r.routed.heard = sessions
		ring(r.inputs)
	}
}

// routing decides over a group with owner bgp. It is announced while nothing
// speaks against it; there is no election, since every node may be chosen.
type routing struct {
	started   time.Time
	decided   bool
	announced bool
	until     time.Time // when serving ends after a withdrawal
}

// ruling is what routing decides.
type ruling struct {
	state     vrrp.State
	announced bool
	owned     bool
	reason    string
	next      time.Time // when time alone changes it; zero: never
}

func (x *routing) step(now time.Time, in routed, stopping bool) ruling {
	if limit := x.started.Add(trackLimit); !x.decided && in.pending && !stopping && now.Before(limit) {
		// What an earlier process left in the kernel goes on serving.
		return ruling{state: vrrp.Initialize, owned: true, reason: "waits for the first results of tracking", next: limit}
	}
	x.decided = true
	if in.fault == "" && !stopping {
		x.announced = true
		out := ruling{state: vrrp.Backup, announced: true, owned: true, reason: "no session with a router is established"}
		if in.heard > 0 {
			out.state, out.reason = vrrp.Active, fmt.Sprintf("announced to routers: %d", in.heard)
		}
		return out
	}
	if x.announced {
		x.announced, x.until = false, now.Add(lingering)
	}
	out := ruling{state: vrrp.Fault, reason: in.fault, owned: now.Before(x.until)}
	if stopping {
		out.state, out.reason = vrrp.Initialize, string(vrrp.Stopped)
	}
	if out.owned {
		out.next = x.until
	}
	return out
}

// route has the group announced until ctx ends; then it withdraws it, and
// returns when nobody sends here any more.
func (r *router) route(ctx context.Context) {
	x := &routing{started: time.Now()}
	stop := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.mu.Lock()
		in := r.routed
		r.mu.Unlock()
		now := x.step(time.Now(), in, ctx.Err() != nil)
		r.rule(now)
		if ctx.Err() != nil && !now.owned {
			return
		}
		wait := make(<-chan time.Time)
		if !now.next.IsZero() {
			timer.Reset(time.Until(now.next))
			wait = timer.C
		}
		select {
		case <-stop:
			stop = nil // once is enough
		case <-wait:
		case <-r.inputs:
		}
	}
}

// rule publishes what was decided.
func (r *router) rule(now ruling) {
	r.mu.Lock()
	old := r.view
	v := &r.view
	v.state, v.announced, v.owned, v.reason = now.state, now.announced, now.owned, now.reason
	r.moved(old)
	next := *v
	r.mu.Unlock()
	if next.state != old.state || next.announced != old.announced {
		r.log.Info("vip state changed", "from", old.state, "to", next.state, "reason", next.reason, "announced", next.announced)
	}
	if next != old {
		r.rang()
	}
}
