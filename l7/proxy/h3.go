package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// What a client of HTTP/3 may have open at once, and send ahead of who reads
// it. Of the streams of one direction three are needed, others extend the
// protocol.
const (
	h3Streams      = 128
	h3UniStreams   = 8
	h3StreamWindow = 1 << 20
	h3ConnWindow   = 4 << 20
)

// ServeHTTP3 serves HTTP/3 on pc, a UDP socket, as Serve serves a listener, and
// closes pc at the end. Where pc was bound with ControlHTTP3, a socket before it
// at the same address goes on with its connections; where ctx ends by ErrAwaited,
// new ones are left to that socket again, in which they wait for whoever reads it
// next. e.TLS is required. Requests are not taken from 0-RTT data, which anybody
// may send again (RFC 8470).
func (p *Proxy) ServeHTTP3(ctx context.Context, pc net.PacketConn, e Entrypoint) error {
	defer pc.Close()
	s, done := p.begin(ctx, e, pc.LocalAddr())
	defer done()
	ids := newConnectionIDs()
	if err := ids.steer(pc, newSocket); err != nil {
		p.log.Warn("connections of HTTP/3 will not survive a replacement of their entrypoint", "entrypoint", e.Name, "err", err)
	}
	var handshakes handshakes
	transport := &quic.Transport{
		Conn:                  pc,
		ConnectionIDGenerator: ids,
		StatelessResetKey:     (*quic.StatelessResetKey)(e.ResetKey),
		ConnContext:           handshakes.begin,
	}
	defer transport.Close() //nolint:errcheck // it is over
	l, err := transport.ListenEarly(http3.ConfigureTLSConfig(e.TLS), p.quicConfig())
	if err != nil {
		return fmt.Errorf("listen for quic on %s: %w", pc.LocalAddr(), err)
	}
	defer l.Close() //nolint:errcheck // it is over
	listen(pc)
	h := &http3.Server{
		Handler:        http.HandlerFunc(s.serveHTTP3),
		MaxHeaderBytes: p.bounds.Load().Head.Head,
		IdleTimeout:    p.bounds.Load().Timeouts.Idle,
		ConnContext:    s.meetHTTP3,
		Logger:         slog.New(slog.DiscardHandler), // it tells of clients' faults
	}
	accepting, failed := context.WithCancel(ctx)
	defer failed()
	var group sync.WaitGroup
	group.Go(func() {
		err = h.ServeListener(l)
		failed()
	})
	<-accepting.Done()
	if s.awaited = errors.Is(context.Cause(ctx), ErrAwaited); s.awaited {
		_ = ids.steer(pc, oldSocket) // or as it was
	}
	s.drainHTTP3(ctx, &handshakes, h, l)
	group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept quic on %s: %w", pc.LocalAddr(), err)
}

func (p *Proxy) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:       p.bounds.Load().Timeouts.Head,
		MaxIdleTimeout:             p.bounds.Load().Timeouts.Idle,
		MaxStreamReceiveWindow:     h3StreamWindow,
		MaxConnectionReceiveWindow: h3ConnWindow,
		MaxIncomingStreams:         h3Streams,
		MaxIncomingUniStreams:      h3UniStreams,
	}
}

// handshakes counts the connections that have begun and are not served yet.
type handshakes struct{ n atomic.Int64 }

// handshakeKey is where a connection's context holds what ends its handshake.
type handshakeKey struct{}

// begin is the ConnContext of a quic.Transport.
func (h *handshakes) begin(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	h.n.Add(1)
	end := sync.OnceFunc(func() { h.n.Add(-1) })
	context.AfterFunc(ctx, end)
	return context.WithValue(ctx, handshakeKey{}, end), nil
}

// wait waits until there is none: for least, for what has come and was not read,
// and not longer than most, since anybody can begin one.
func (h *handshakes) wait(ctx context.Context, least, most time.Duration) {
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	for pause(ctx, least); ctx.Err() == nil && h.n.Load() > 0; {
		pause(ctx, least/16)
	}
}

// drainHTTP3 lets handshakes end that are under way, tells all clients that the
// end has come, lets requests finish while there is time, and closes the
// connections, unless clients do that before. Streams that come too late are
// refused in a way that lets a client send them to somebody else (RFC 9114,
// section 5.2).
func (s *server) drainHTTP3(ctx context.Context, begun *handshakes, h *http3.Server, l *quic.EarlyListener) {
	s.draining.Store(true)
	s.cutAwaited()
	over, stop := s.respite(ctx)
	defer stop()
	if s.awaited {
		begun.wait(over, lastCall/4, lastCall)
	} else {
		begun.wait(over, lastCall, 5*lastCall)
	}
	told, left := context.WithCancel(over)
	var group sync.WaitGroup
	group.Go(func() {
		h.Shutdown(over) //nolint:errcheck // it says whether clients went by themselves
		left()
	})
	for pause(told, lastCall); told.Err() == nil && !s.idle(); {
		pause(told, s.p.grain)
	}
	l.Close() //nolint:errcheck // it is over
	s.each((*leash).kill)
	h.Close() //nolint:errcheck // it is over
	group.Wait()
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// idle reports whether nothing is being done.
func (s *server) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.works) == 0
}

// clientKey is where a connection's context holds its client.
type clientKey struct{}

// meetHTTP3 gives a new connection its client.
func (s *server) meetHTTP3(ctx context.Context, conn *quic.Conn) context.Context {
	if end, ok := conn.Context().Value(handshakeKey{}).(func()); ok {
		end()
	}
	c := newClient(s, conn)
	if s.p.gate.full() || !c.admit() {
		conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too many connections") //nolint:errcheck // it is over
	}
	c.tlsState = func() tls.ConnectionState { return conn.ConnectionState().TLS }
	s.p.gate.enter()
	c.stats.connections.Add(1)
	context.AfterFunc(conn.Context(), func() {
		c.depart()
		s.p.gate.leave()
		c.stats.connections.Add(-1)
	})
	return context.WithValue(ctx, clientKey{}, c)
}

func (s *server) serveHTTP3(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(clientKey{}).(*client)
	s.serveNet(c, w, r)
}
