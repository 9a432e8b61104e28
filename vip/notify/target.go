package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// A target is one receiver at work.
type target struct {
	name string
	log  *slog.Logger
	send func(context.Context, Target, Event) error
	bell chan struct{} // the queue or done changed

	mu     sync.Mutex
	config Target
	queue  queue
	busy   bool // an event is on its way
	done   bool // nothing more will come
	counts TargetStatus
}

func newTarget(o Options, c Target) *target {
	return &target{
		name: c.Name, log: o.Log.With("target", c.Name), send: o.Send,
		bell: make(chan struct{}, 1), config: c,
	}
}

func (t *target) set(c Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.config = c
}

func (t *target) read() Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config
}

// offer queues e if the target wants it. It never blocks.
func (t *target) offer(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.config.wants(e) {
		return
	}
	if t.queue.push(e) {
		t.counts.Dropped++
		t.log.Warn("notification dropped, newer ones wait", "group", e.Group, "last_error", t.counts.LastError)
	}
	ring(t.bell)
}

// miss counts transitions that nobody saw.
func (t *target) miss(group string, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.config.wantsGroup(group) {
		t.counts.Dropped += count
	}
}

// finish says that nothing more will be offered.
func (t *target) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = true
	ring(t.bell)
}

// run delivers one event after the other, until ctx ends or, after finish,
// the queue is empty.
func (t *target) run(ctx context.Context) {
	for {
		e, more := t.next(ctx)
		if !more {
			break
		}
		t.deliver(ctx, e)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if left := len(t.queue); left > 0 {
		t.counts.Dropped += uint64(left)
		t.queue = nil
		t.log.Warn("notifications given up", "count", left, "last_error", t.counts.LastError)
	}
}

// next waits for an event.
func (t *target) next(ctx context.Context) (e Event, more bool) {
	for ctx.Err() == nil {
		t.mu.Lock()
		e, more = t.queue.pop()
		t.busy = more
		end := t.done && !more
		t.mu.Unlock()
		if more || end {
			return e, more
		}
		select {
		case <-t.bell:
		case <-ctx.Done():
		}
	}
	return Event{}, false
}

// deliver makes attempts to send e until one succeeds or there is no point in
// another.
func (t *target) deliver(ctx context.Context, e Event) {
	for attempt := 0; ; attempt++ {
		c := t.read()
		err := t.attempt(ctx, c, e)
		var permanent permanentError
		switch {
		case err == nil:
			t.settle(func(s *TargetStatus) { s.Sent++; s.LastError = ""; s.LastSent = time.Now() })
			return
		case ctx.Err() != nil:
			t.settle(func(s *TargetStatus) { s.Dropped++ })
			t.log.Warn("notification given up", "group", e.Group, "state", e.To)
			return
		case attempt >= c.Retries || errors.As(err, &permanent):
			t.settle(func(s *TargetStatus) { s.Failed++; s.LastError = err.Error() })
			t.log.Warn("notification not delivered", "group", e.Group, "state", e.To, "attempts", attempt+1, "err", err)
			return
		}
		t.mu.Lock()
		t.counts.LastError = err.Error()
		t.mu.Unlock()
		select {
		case <-time.After(backoff(attempt)):
		case <-ctx.Done():
		}
	}
}

// attempt makes one attempt within the target's timeout.
func (t *target) attempt(ctx context.Context, c Target, e Event) error {
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return t.send(limited, c, e)
}

// settle counts the end of the event on its way.
func (t *target) settle(count func(*TargetStatus)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = false
	count(&t.counts)
}

func (t *target) status() TargetStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.counts
	s.Name, s.Kind, s.Waiting = t.name, t.config.Kind, len(t.queue)
	if t.busy {
		s.Waiting++
	}
	return s
}

// backoff is the wait after the attempt'th failure, counted from 0: 1, 2, 4 s
// and so on to half a minute.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt, 5), 30*time.Second)
}

// A permanentError is an answer that will not change by asking again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }
