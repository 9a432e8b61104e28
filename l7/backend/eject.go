package backend

import "time"

// The word that says until when an endpoint is out: a clock time, with the
// lowest bit for responses as the reason; 0 is not out.
func outWord(j *judge) int64 {
	if j.out == 0 || j.why == NoConnection {
		return j.out &^ 1
	}
	return j.out | 1
}

func until(out int64) int64 { return out &^ 1 }

func byResponse(out int64) bool { return out&1 != 0 }

// claim makes the request at hand the one that may try an endpoint whose time
// is over, and reports false when another one is. An endpoint that is not out,
// or still is, needs no claim.
func (e *Endpoint) claim(now int64) bool {
	out := e.out.Load()
	if out == 0 || until(out) > now {
		return true
	}
	return e.out.CompareAndSwap(out, until(now+trialTime)|out&1)
}

// judged lets act tell the judge what happened, and logs what comes of it, with
// err where the reason is known.
func (e *Endpoint) judged(now int64, err error, act func(*judge)) {
	e.mu.Lock()
	before := e.judge.out
	act(&e.judge)
	after := e.judge
	e.troubled.Store(!after.untroubled())
	if after.out != before {
		if after.out == 0 {
			e.rising.Store(now | 1)
		}
		e.out.Store(outWord(&after))
	}
	e.mu.Unlock()
	if after.out == before {
		return
	}
	log := e.pool.log.With("backend", e.pool.backend.String(), "endpoint", e.Addr())
	if after.out == 0 {
		log.Info("endpoint is used again")
		return
	}
	if err != nil {
		log = log.With("err", err)
	}
	log.Warn("endpoint is asked last", "why", after.why.String(), "for", time.Duration(after.length))
}

// report takes note of what became of a request, err being the reason where it
// is known.
func (e *Endpoint) report(o Outcome, err error, now int64) {
	if o != Answered {
		ejection := e.pool.Policy().Ejection
		e.judged(now, err, func(j *judge) { j.ill(o, now, ejection) })
	} else if e.troubled.Load() {
		e.judged(now, nil, func(j *judge) { j.well(now) })
	}
}

// connected takes note of a dial that went well.
func (e *Endpoint) connected(now int64) {
	if e.troubled.Load() {
		e.judged(now, nil, func(j *judge) { j.connected(now) })
	}
}

// Report tells what became of the request at hand, once, before Release; a
// request that the client gave up is not reported.
func (b *Conn) Report(o Outcome) {
	if o == Died && b.reused {
		return // it was idle for too long: no fault of either
	}
	p := b.ep.pool
	now := p.now()
	b.ep.report(o, nil, now)
	p.record(o == Answered, now)
}

// admit asks the circuit breaker.
func (p *Pool) admit(now int64) bool {
	if p.Policy().Breaker.Share == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker == nil || p.breaker.allow(now)
}

// record tells the circuit breaker.
func (p *Pool) record(well bool, now int64) {
	b := p.Policy().Breaker
	if b.Share == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.breaker == nil { // most backends have none
		p.breaker = new(breaker)
	}
	p.breaker.record(well, now, b)
}
