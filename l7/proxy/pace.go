package proxy

import "time"

// A pace holds the body of a request to the rate that it must come with at
// least. Only the time that is waited for the client counts: an endpoint that
// takes its time is not the client's fault.
type pace struct {
	got    int64 // bytes
	waited int64 // nanoseconds of the clock
	since  int64 // when the present wait began
}

// left is how long the client may take for the next byte.
func (p *pace) left(c Caps, stall time.Duration) time.Duration {
	if c.Rate == 0 {
		return stall
	}
	// Above a year it is no bound, and no number to multiply.
	allowed := time.Duration(min(p.got/c.Rate, 1<<25)) * time.Second
	return min(stall, max(0, max(allowed, c.RateAfter)-time.Duration(p.waited)))
}

// expect is how long n bytes will take that come as those before, of which
// there have been some.
func (p *pace) expect(n int64) time.Duration {
	return time.Duration(float64(p.waited) * float64(n) / float64(p.got))
}

// begin begins a wait at a time of the clock.
func (p *pace) begin(now int64) { p.since = now }

// await begins the wait for what comes next of the body of x's request. Once
// it is being answered it is a conversation, which may have pauses.
func (l *leash) await(x *exchange, answered bool) bool {
	x.pace.begin(l.p.clock.now())
	wait := l.bounds.Timeouts.Stall
	if !answered {
		wait = x.pace.left(l.bounds.Caps, wait)
	}
	return l.arm(wait)
}

// end ends it with n bytes.
func (p *pace) end(now int64, n int) {
	p.waited += now - p.since
	p.got += int64(n)
}
