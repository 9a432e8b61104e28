package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/backend"
)

// A leash holds a client's connection, or one of its requests, to its time.
// The sweeper and the drain reach in through it.
type leash struct {
	*client
	deadline deadline
	// limit is the clock time at which the request at hand must be over, 0 for
	// never.
	limit int64
	// side is the client's.
	side interruptible
	// endpoint is the connection that a cut has to interrupt as well.
	endpoint atomic.Pointer[backend.Conn]
	mu       sync.Mutex // held while a cut is carried out or taken back
	// tunnel is whether it has become one, of whose end nobody knows.
	tunnel atomic.Bool
}

// What is interruptible has waits that can be broken off. After resume it can
// be used again, as far as it can be at all.
type interruptible interface {
	interrupt()
	resume()
}

// arm begins a wait and reports whether the work may go on.
func (l *leash) arm(d time.Duration) bool {
	until := l.until(d)
	if l.limit != 0 {
		until = min(until, l.limit)
	}
	return l.deadline.move(until, busy)
}

// lastCall shortens the wait for a request.
func (l *leash) lastCall() { l.deadline.hurry(l.until(lastCall)) }

// revive takes a cut back, to say something before the end.
func (l *leash) revive(d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deadline.revive(l.until(d)) {
		return false
	}
	l.side.resume()
	return true
}

// cut interrupts the work if decide says so. The lock keeps a revival from
// coming between the decision and the interruption.
func (l *leash) cut(decide func(*deadline) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !decide(&l.deadline) {
		return
	}
	l.side.interrupt()
	if b := l.endpoint.Load(); b != nil {
		b.Interrupt()
	}
}

// open makes the work a tunnel, and reports whether that may go on.
func (l *leash) open() bool {
	l.tunnel.Store(true)
	if l.s.draining.Load() && l.s.awaited {
		return false
	}
	return l.deadline.move(0, busy)
}

// kill cuts the work whatever it does.
func (l *leash) kill() {
	l.cut(func(d *deadline) bool { d.kill(); return true })
}

// past is a deadline that is over.
func past() time.Time { return time.Unix(1, 0) }
