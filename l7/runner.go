package l7

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// A runner is what Run owns while it runs. Only Run's goroutine touches it,
// but for failed and the wait group.
type runner struct {
	l       *L7
	config  Config
	entries map[string]*serving
	ready   *serving
	source  *feed
	// coming is a source that replaces source once it has read everything, so
	// that a reload never goes through a moment without routes.
	coming *feed
	// retry fires while the source that the configuration names cannot be had.
	retry <-chan time.Time
	acme  *registrar // nil where no CA is configured
	// stapling ends the stapler; nil where there is none.
	stapling context.CancelFunc
	build    build
	// relax ends what hasten has begun.
	relax func()
	// names is nil where none were ever allowed.
	names     *names
	stopNames context.CancelFunc
	tickets   *certs.Tickets
	// resetKey is nil until HTTP/3 is served.
	resetKey *[32]byte
	observers
	// opened says that entrypoints are served; told when they first are.
	opened bool
	told   func()
	failed chan error
	// begun are those who serve what was begun before the end, group is
	// everybody else.
	begun, group sync.WaitGroup
	// late are those who serve who comes in the end; ending is whether it has
	// come.
	late   []*serving
	ending bool
}

// serving is one goroutine that serves a listener.
type serving struct {
	entry Entrypoint
	stop  context.CancelCauseFunc
}

func newRunner(l *L7, told func()) *runner {
	return &runner{
		l: l, entries: map[string]*serving{}, failed: make(chan error, 1), told: told,
		tickets: certs.NewTickets(l.certs, time.Now),
		relax:   hasten(),
		build:   build{endpoints: kube.NewEndpointIndex(), table: &route.Table{}},

		stopNames: func() {},
	}
}

// apply makes c live: only what differs is touched.
func (r *runner) apply(ctx context.Context, c Config) {
	r.config = c
	r.observe(c)
	r.applySource(ctx, c.Kubernetes)
	r.tickets.Share(c.TicketKey)
	r.l.engine.SetBounds(c.Client)
	r.l.engine.SetPolicies(c.Backend, r.build.policies)
	r.applyNames(ctx, c.Kubernetes)
	r.applyACME(ctx, c)
	r.applyOCSP(ctx, c.OCSP)
	r.rebuildAll()
	if r.opened || r.l.patience == 0 || r.coming == nil {
		r.open(ctx)
	}
}

// open serves the entrypoints of the configuration, and those alone.
func (r *runner) open(ctx context.Context) {
	if r.ending {
		return
	}
	for _, e := range r.config.Entrypoints {
		old := r.entries[e.Name]
		if old != nil && reflect.DeepEqual(old.entry, e) {
			continue
		}
		// The new one accepts before the old one stops: both do so on the
		// same socket, so no connection is refused in between.
		r.entries[e.Name] = r.serve(ctx, &r.begun, e, r.serveEntry(ctx, e))
		r.l.log.Info("entrypoint listens", "entrypoint", e.Name, "listen", e.Listen)
		if old != nil {
			old.stop(proxy.ErrReplaced)
		}
	}
	for name, s := range r.entries {
		if !r.config.has(name) {
			s.stop(nil)
			delete(r.entries, name)
			r.l.log.Info("entrypoint removed", "entrypoint", name, "listen", s.entry.Listen)
		}
	}
	r.openReady(ctx, r.config.ReadyListen)
	r.l.forget(r.config)
	r.l.forgetPackets(r.config)
	if !r.opened {
		r.opened = true
		r.told()
	}
}

func (c Config) has(name string) bool {
	for _, e := range c.Entrypoints {
		if e.Name == name {
			return true
		}
	}
	return false
}

func (r *runner) openReady(ctx context.Context, listen string) {
	if r.ready != nil && r.ready.entry.Listen == listen {
		return
	}
	old := r.ready
	r.ready = nil
	if listen != "" {
		r.ready = r.serve(ctx, &r.group, Entrypoint{Name: "ready", Listen: listen}, r.l.serveReady)
		r.l.log.Info("readiness is told", "listen", listen)
	}
	if old != nil {
		old.stop(nil)
	}
}

// sourceRetry is how often a source is looked for that is not there.
const sourceRetry = 2 * time.Second

// applySource makes k the source of routes. The one before serves until the
// new one has read everything.
func (r *runner) applySource(ctx context.Context, k Kubernetes) {
	latest := r.coming
	if latest == nil {
		latest = r.source
	}
	if latest != nil && reflect.DeepEqual(k, latest.config) {
		latest.reread()
		return
	}
	r.coming.stop()
	r.coming, r.retry = nil, nil
	f, err := newFeed(r.l.log, k, r.config.StateDir, r.source == nil)
	switch {
	case err != nil:
		// The configuration was valid, what it names is not there, perhaps
		// not yet.
		r.retry = time.After(sourceRetry)
		if r.l.state.Load().sourceErr != err.Error() {
			r.l.log.Error("source of routes", "err", err)
			r.l.publish(func(s *state) { s.sourceErr = err.Error() })
		}
	default:
		if w, ok := f.Source.(*kube.Watcher); ok {
			f.publisher = k.publisher(w, kube.PublishOptions{Log: r.l.log, Node: r.l.node})
		}
		r.coming = f
		if r.source == nil { // else what is served comes from that
			r.l.publish(func(s *state) { s.source = f.Source })
		}
		f.start(ctx, &r.group, r.fail)
	}
}

// serve runs f on a socket of its own that shares e's address.
func (r *runner) serve(ctx context.Context, group *sync.WaitGroup, e Entrypoint, f func(context.Context, net.Listener) error) *serving {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx)) // ended by stop, in its order
	s := &serving{entry: e, stop: stop}
	l, err := r.l.share(e.Listen)
	if err != nil {
		r.fail(err)
		return s
	}
	group.Go(func() {
		if err := f(ctx, l); err != nil && !errors.Is(err, context.Canceled) {
			r.fail(err)
		}
	})
	return s
}

func (r *runner) serveEntry(ctx context.Context, e Entrypoint) func(context.Context, net.Listener) error {
	p := proxy.Entrypoint{
		Name:           e.Name,
		TLS:            r.tlsConfig(e.TLS, e.HTTP.protocols()),
		H2C:            e.HTTP.H2C,
		HTTP3:          e.HTTP.HTTP3,
		TrustedProxies: e.Trusted,
		ProxyProtocol:  e.ProxyProtocol,
		Redirect:       e.Redirect,
	}
	if !e.HTTP.HTTP3 {
		return func(ctx context.Context, l net.Listener) error { return r.l.engine.Serve(ctx, l, p) }
	}
	p.ResetKey = r.keyOfResets()
	// Here, so that who is told that we are ready finds it.
	pc, err := r.l.packets(context.WithoutCancel(ctx), e.Listen)
	return func(ctx context.Context, l net.Listener) error {
		if err != nil {
			l.Close()
			return err
		}
		return r.serveBoth(ctx, l, pc, p)
	}
}

// serveBoth serves TCP, and HTTP/3 at the same port of UDP.
func (r *runner) serveBoth(ctx context.Context, l net.Listener, pc net.PacketConn, p proxy.Entrypoint) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.l.engine.Serve(ctx, l, p) })
	group.Go(func() error { return r.l.engine.ServeHTTP3(ctx, pc, p) })
	return group.Wait()
}

func (r *runner) fail(err error) {
	select {
	case r.failed <- err:
	default: // one reason is enough to end
	}
}

// tell lets the directors hear from /ready that this node stops, and returns
// what says that they have had the time to. Meanwhile it serves on what they
// send here.
func (r *runner) tell() <-chan time.Time {
	r.l.publish(func(s *state) { s.stopping = true })
	r.source.resign()
	var wait time.Duration
	if r.opened && r.l.asked.recently(time.Now()) && !r.l.handedOver.Load() {
		wait = r.config.StopDelay
		r.l.log.Info("serving on until the directors have heard of the stop", "stop_delay", wait)
	}
	return time.After(wait)
}

// drain begins the end: what was begun finishes, and the channel says when it
// has. Who connects meanwhile is served as well, a request a connection: the
// next process is not there yet, and while a websocket uses up the time, clients
// would find the port closed, or wait where systemd keeps it open.
func (r *runner) drain(ctx context.Context) <-chan struct{} {
	r.ending = true
	if !r.l.handedOver.Load() {
		b := r.config.Client
		b.Caps.Requests = 1
		r.l.engine.SetBounds(b)
		for _, s := range r.entries {
			r.late = append(r.late, r.serve(ctx, &r.group, s.entry, r.serveEntry(ctx, s.entry)))
		}
	}
	r.stopEntries()
	over := make(chan struct{})
	r.group.Go(func() {
		r.begun.Wait()
		close(over)
	})
	return over
}

func (r *runner) stopEntries() {
	for _, s := range r.entries {
		s.stop(nil)
	}
	r.l.engine.Stop()
}

// stop ends everything.
func (r *runner) stop() {
	r.ending = true
	r.l.publish(func(s *state) { s.stopping = true })
	r.stopEntries()
	for _, s := range r.late {
		s.stop(proxy.ErrAwaited)
	}
	r.coming.stop()
	r.source.stop()
	r.stopNames()
	r.acme.stop()
	r.stopOCSP()
	if r.ready != nil {
		r.ready.stop(nil)
	}
	r.l.forgetAll()
	r.l.forgetPackets(Config{})
	r.begun.Wait()
	r.group.Wait()
	r.observers.stop() // they are told of the last request too
}
