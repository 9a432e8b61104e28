package vip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// line is an open conn with the goroutine that listens to it.
type line struct {
	conn
	endpoint vrrp.Endpoint
	index    int // of the interface it is bound to
	opened   time.Time
	heard    chan vrrp.Datagram
	broken   chan error
	stop     context.CancelFunc
	stopped  chan struct{}
}

// connect opens the conn that the configuration asks for.
func (r *router) connect(ctx context.Context) (*line, error) {
	g, virtual, link := r.config()
	switch {
	case link.Index == 0:
		return nil, fmt.Errorf("interface %s does not exist: create it or name another", g.Interface)
	case !link.Up:
		return nil, fmt.Errorf("interface %s is down", g.Interface)
	}
	e := vrrp.Endpoint{Interface: g.Interface, IPv6: g.ipv6(), Peers: g.VRRP.Peers, Virtual: virtual, TTL: g.VRRP.TTL}
	c, err := r.open(e)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &line{conn: c, endpoint: e, index: link.Index, opened: time.Now(), stop: stop,
		heard: make(chan vrrp.Datagram), broken: make(chan error, 1), stopped: make(chan struct{})}
	go l.listen(ctx)
	return l, nil
}

// reconnect replaces a line that no longer fits the configuration. The machine
// need not know. An error leaves the old line, for a last word.
func (r *router) reconnect(ctx context.Context, old *line) (*line, error) {
	g, virtual, link := r.config()
	if link.Up && link.Index == old.index && old.endpoint.TTL == g.VRRP.TTL && slices.Equal(old.endpoint.Peers, g.VRRP.Peers) && slices.Equal(old.endpoint.Virtual, virtual) {
		return old, nil
	}
	l, err := r.connect(ctx)
	if err != nil {
		return old, err
	}
	old.close()
	return l, nil
}

func (l *line) listen(ctx context.Context) {
	defer close(l.stopped)
	defer context.AfterFunc(ctx, func() { _ = l.Interrupt() })()
	for {
		d, err := l.Receive()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				l.breaks(fmt.Errorf("receive adverts: %w", err))
			}
			return
		}
		d.Payload = bytes.Clone(d.Payload) // the conn uses its buffer again
		select {
		case l.heard <- d:
		case <-ctx.Done():
			return
		}
	}
}

// breaks ends the session on the line; the first reason counts.
func (l *line) breaks(err error) {
	select {
	case l.broken <- err:
	default:
	}
}

func (l *line) close() {
	l.stop()
	<-l.stopped
	_ = l.Close()
}
