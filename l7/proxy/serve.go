package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http2"
	"github.com/portico-lb/portico/l7/socket"
)

// A server is one Serve.
type server struct {
	p     *Proxy
	entry Entrypoint
	port  uint16
	// ctx ends when the drain is over; dials end with it.
	ctx      context.Context
	end      func()
	draining atomic.Bool
	// patient is whether a drain waits for idle connections, awaited whether it
	// does not even wait for tunnels; valid once draining is set.
	patient, awaited bool

	mu    sync.Mutex
	works map[*leash]struct{}
	// tended are the connections of HTTP/2.
	tended map[*http2.Conn]struct{}
	copies copies // what mirrors get
	group  sync.WaitGroup

	next  chan *conn // takes those for whom a goroutine waits; closed at the end
	spare atomic.Int32
}

// ErrReplaced is the cause by which the context of a Serve ends to say that
// another one takes its place: what has begun may take the time that it needs,
// up to Options.Drain after Stop, and connections may be idle as long as ever,
// though the next response on them is the last one.
var ErrReplaced = errors.New("replaced")

// ErrAwaited is that cause where clients wait for the process after this one:
// tunnels are cut at once.
var ErrAwaited = errors.New("awaited")

// Stop says that no Serve comes any more.
func (p *Proxy) Stop() { p.stop() }

// Serve accepts connections from l until ctx ends, then closes l and the idle
// connections, waits until all requests have been answered and all tunnels
// have ended, but no longer than Options.Drain, and returns when every
// goroutine has. It may be called several times at once. The error is that of
// a listener that failed by itself.
func (p *Proxy) Serve(ctx context.Context, l net.Listener, e Entrypoint) error {
	if tcp, ok := l.(*net.TCPListener); ok {
		var err error
		if l, err = socket.Listen(tcp); err != nil {
			return err
		}
	}
	s, done := p.begin(ctx, e, l.Addr())
	defer done()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	err := s.accept(ctx, l)
	if stop() {
		l.Close()
	}
	close(s.next) // nobody is accepted any more
	s.drain(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept on %s: %w", l.Addr(), err)
}

// begin returns a server of e at an address whose work is held to its time until done.
func (p *Proxy) begin(ctx context.Context, e Entrypoint, at net.Addr) (s *server, done func()) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s = &server{p: p, entry: e, port: addrPort(at).Port(), ctx: life, end: end, works: make(map[*leash]struct{}), tended: make(map[*http2.Conn]struct{}), next: make(chan *conn)}
	p.join()
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.sweep(life) })
	return s, func() {
		end()
		sweeper.Wait()
		s.copies.end()
		p.leave()
	}
}

// join and leave count the servers: the last one to leave closes the pooled
// connections, which nobody would watch any more.
func (p *Proxy) join() {
	p.mu.Lock()
	p.serving++
	p.mu.Unlock()
	p.clock.advance()
}

func (p *Proxy) leave() {
	p.mu.Lock()
	p.serving--
	last := p.serving == 0
	p.mu.Unlock()
	if last {
		p.eachPool((*backend.Pool).CloseIdle)
	}
}

// accept serves every connection in a goroutine of its own.
func (s *server) accept(ctx context.Context, l net.Listener) error {
	var pause time.Duration
	for {
		s.p.gate.wait(ctx)
		raw, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(raw)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors, mostly: it passes, and those that are
			// connected are served on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.p.log.Warn("accept", "entrypoint", s.entry.Name, "err", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

func (s *server) start(raw net.Conn) {
	c := newConn(s, raw)
	s.watch(&c.leash)
	s.p.gate.enter()
	select {
	case s.next <- c: // to one that waits
	default:
		s.group.Go(func() { s.work(c) })
	}
}

// work serves c, and then those that come, until the end of the server or
// until enough others wait. A goroutine that has served has the stack for it;
// a new one grows it step by step.
func (s *server) work(c *conn) {
	for c != nil {
		s.attend(c)
		c = nil
		if s.spare.Add(1) <= spareWorkers {
			c = <-s.next
		}
		s.spare.Add(-1)
	}
}

// spareWorkers is how many goroutines wait for connections.
const spareWorkers = 64

func (s *server) attend(c *conn) {
	defer s.p.gate.leave()
	defer s.unwatch(&c.leash)
	c.serve()
}

// watch holds w to its time until unwatch.
func (s *server) watch(w *leash) {
	s.mu.Lock()
	s.works[w] = struct{}{}
	s.mu.Unlock()
}

func (s *server) unwatch(w *leash) {
	s.mu.Lock()
	delete(s.works, w)
	s.mu.Unlock()
}

// sweep moves the clock on, cuts the connections whose time is over, and
// reaps pooled ones.
func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(s.p.grain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.p.clock.advance()
		now := s.p.clock.now()
		expire := func(w *leash) {
			w.cut(func(d *deadline) bool { return d.expire(now) })
		}
		s.each(expire)
		s.copies.each(expire)
		s.eachTended((*http2.Conn).Tick)
		s.p.reaper.Reap()
	}
}

func (s *server) each(do func(*leash)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.works {
		do(w)
	}
}

// drain ends every connection as soon as it has nothing to answer, and all of
// them when the time is over.
func (s *server) drain(ctx context.Context) {
	s.patient, s.awaited = replaced(ctx), errors.Is(context.Cause(ctx), ErrAwaited)
	// First the flag, then the walk: a connection becomes idle first and looks
	// at the flag then, so that one of the two sees the other.
	s.draining.Store(true)
	s.cutAwaited()
	if !s.patient {
		s.each((*leash).lastCall)
	}
	s.eachTended((*http2.Conn).Shutdown)
	over, stop := s.respite(ctx)
	defer stop()
	cut := context.AfterFunc(over, func() {
		s.end()
		s.each((*leash).kill)
	})
	s.group.Wait()
	cut()
}

// cutAwaited cuts the tunnels where others wait for the end.
func (s *server) cutAwaited() {
	if !s.awaited {
		return
	}
	s.each(func(w *leash) {
		if w.tunnel.Load() {
			w.kill()
		}
	})
}

// replaced reports why ctx has ended.
func replaced(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrReplaced) }

// respite returns a context that ends when the time is over for what was begun
// before ctx ended.
func (s *server) respite(ctx context.Context) (over context.Context, stop func()) {
	if !replaced(ctx) {
		return context.WithTimeout(s.ctx, s.p.drain)
	}
	over, end := context.WithCancel(s.ctx)
	release := context.AfterFunc(s.p.life, func() {
		s.each((*leash).lastCall)
		time.AfterFunc(s.p.drain, end)
	})
	return over, func() {
		release()
		end()
	}
}

// trusts reports whether what a peer says about others is believed.
func (s *server) trusts(a netip.Addr) bool {
	for _, p := range s.entry.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// secure wraps raw in TLS where the entrypoint speaks it.
func (s *server) secure(raw net.Conn) (net.Conn, *tls.Conn) {
	if s.entry.TLS == nil {
		return raw, nil
	}
	t := tls.Server(raw, s.entry.TLS)
	return t, t
}
