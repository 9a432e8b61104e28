// Package l7 proxies HTTP by Ingress host and path straight to Pod addresses.
//
// It is one part of portico: listeners (entrypoints) feed the engine in
// l7/proxy; a source in l7/kube yields objects, which become routes, endpoints
// and certificates and are swapped into the engine without touching a
// connection.
package l7

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/trace"
)

// Options are what an L7 needs beside its Config.
type Options struct {
	Log *slog.Logger
	// Node is this node's name, for those who look at several.
	Node string
	// Config is the first configuration. Its listeners are bound by Run.
	Config Config
	// Sockets are listeners of the process before this one, by address. They
	// are used where the configuration names the address, and closed otherwise.
	Sockets map[string]net.Listener
	// Packets are such sockets of UDP.
	Packets map[string]net.PacketConn
	// Patience is how long Run waits for its first routes before it listens:
	// meanwhile the process before this one serves, or connections wait.
	Patience time.Duration
}

// An L7 is the proxy part. New starts nothing; Run blocks.
type L7 struct {
	log    *slog.Logger
	engine *proxy.Proxy
	certs  *certs.Store
	// acme is nil where no CA is configured.
	acme atomic.Pointer[acme.Manager]
	// node is this node's name. accessLog and tracer are nil where they are not
	// configured.
	node      string
	accessLog atomic.Pointer[accesslog.Log]
	tracer    atomic.Pointer[trace.Tracer]

	// next is the configuration that Run shall apply, bell tells it so.
	next atomic.Pointer[Config]
	bell chan struct{}
	// patience is how long the first routes are waited for.
	patience time.Duration

	state atomic.Pointer[state]
	asked asked
	// handedOver says that a successor takes the new connections.
	handedOver atomic.Bool

	mu sync.Mutex
	// sockets holds every bound address. Prepare adds, Run removes.
	sockets map[string]net.Listener
	// datagrams holds the newest socket of HTTP/3 at each address.
	datagrams map[string]*packetSocket
	// moved rings when sockets or datagrams has changed.
	moved chan struct{}
}

// New returns an L7 that Run starts.
func New(o Options) *L7 {
	l := &L7{
		log:     o.Log,
		certs:   certs.New(),
		bell:    make(chan struct{}, 1),
		sockets: map[string]net.Listener{},
		moved:   make(chan struct{}, 1),

		datagrams: map[string]*packetSocket{},
		patience:  o.Patience,
		node:      o.Node,
	}
	l.engine = proxy.New(proxy.Options{Log: o.Log, Drain: o.Config.Drain, Policy: o.Config.Backend, Challenge: l.challenge})
	maps.Copy(l.sockets, o.Sockets)
	for addr, pc := range o.Packets {
		l.datagrams[addr] = &packetSocket{PacketConn: pc}
	}
	l.next.Store(&o.Config)
	l.state.Store(&state{})
	return l
}

// Prepare does everything about c that can fail, touching nothing that is
// served. The returned commit makes c live, and cannot fail.
func (l *L7) Prepare(c Config) (commit func(), err error) {
	// A source that is not new may be away for a while.
	if k := l.next.Load().Kubernetes; !reflect.DeepEqual(c.Kubernetes, k) {
		if _, err := newFeed(l.log, c.Kubernetes, "", false); err != nil {
			return nil, err
		}
	}
	if err := l.tryHTTP3(c); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// What is bound is held once more: Run may still be about to close it, for the
	// configuration before c.
	held := map[string]net.Listener{}
	for _, addr := range c.listens() {
		if held[addr] != nil {
			continue
		}
		s, err := l.hold(addr)
		if err != nil {
			for _, bound := range held {
				bound.Close()
			}
			return nil, err
		}
		held[addr] = s
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for addr, s := range held {
			if l.sockets[addr] == nil {
				l.sockets[addr] = s
			} else {
				s.Close()
			}
		}
		l.next.Store(&c)
		ring(l.moved)
		ring(l.bell)
	}, nil
}

// listens returns every address that c wants bound.
func (c Config) listens() []string {
	var out []string
	for _, e := range c.Entrypoints {
		out = append(out, e.Listen)
	}
	if c.ReadyListen != "" {
		out = append(out, c.ReadyListen)
	}
	return out
}

func listen(addr string) (net.Listener, error) {
	// No MPTCP: a path beside the first would be balanced to another node, and
	// its sockets take nobody whom XDP has answered with a SYN cookie.
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	s, err := config.Listen(context.Background(), "tcp", addr)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w: the process needs CAP_NET_BIND_SERVICE for a port below 1024", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: another process listens there, or the address is not on this node: ss -ltnp", err)
	}
	return s, nil
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}

// Run binds the listeners, serves until ctx ends, and returns when what was begun
// by then has been answered, or StopDelay and Drain have passed; who connects
// until then is served as well. It is ready when it listens; whether it has a
// configuration is /ready's to say.
func (l *L7) Run(ctx context.Context, ready func()) error {
	commit, err := l.Prepare(*l.next.Load())
	if err != nil {
		return err
	}
	commit()
	r := newRunner(l, ready)
	defer r.stop()
	defer r.relax()
	asked, told, drained := ctx.Done(), (<-chan time.Time)(nil), (<-chan struct{})(nil)
	patience := (<-chan time.Time)(nil)
	if l.patience > 0 {
		patience = time.After(l.patience)
	}
	for {
		select {
		case <-asked:
			asked, told = nil, r.tell()
		case <-told:
			drained = r.drain(ctx)
		case <-drained:
			return nil
		case err := <-r.failed:
			return err
		case <-l.bell:
			r.apply(ctx, *l.next.Load())
		case <-r.coming.ready():
			r.takeOver()
			r.open(ctx)
		case <-patience:
			r.open(ctx)
		case <-r.retry:
			r.applySource(ctx, r.config.Kubernetes)
		case <-r.source.changed():
			r.rebuild()
		case <-r.namesChanged():
			r.setNames()
			r.rebuild()
		case <-r.acme.changed():
			r.refreshCertificates()
		}
	}
}
