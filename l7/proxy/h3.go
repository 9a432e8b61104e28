package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
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
// closes pc at the end. e.TLS is required. Requests are not taken from 0-RTT
// data, which anybody may send again (RFC 8470).
func (p *Proxy) ServeHTTP3(ctx context.Context, pc net.PacketConn, e Entrypoint) error {
	defer pc.Close()
	s, done := p.begin(ctx, e)
	defer done()
	transport := &quic.Transport{Conn: pc}
	defer transport.Close()
	l, err := transport.ListenEarly(http3.ConfigureTLSConfig(e.TLS), p.quicConfig())
	if err != nil {
		return fmt.Errorf("listen for quic on %s: %w", pc.LocalAddr(), err)
	}
	defer l.Close()
	h := &http3.Server{
		Handler:        http.HandlerFunc(s.serveHTTP3),
		MaxHeaderBytes: p.limits.Head,
		IdleTimeout:    p.timeouts.Idle,
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
	s.drainHTTP3(h)
	group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept quic on %s: %w", pc.LocalAddr(), err)
}

func (p *Proxy) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:       p.timeouts.Head,
		MaxIdleTimeout:             p.timeouts.Idle,
		MaxStreamReceiveWindow:     h3StreamWindow,
		MaxConnectionReceiveWindow: h3ConnWindow,
		MaxIncomingStreams:         h3Streams,
		MaxIncomingUniStreams:      h3UniStreams,
	}
}

// drainHTTP3 tells all clients that the end has come, lets requests finish
// while there is time, and closes the connections. Streams that come later are
// refused in a way that lets a client send them to somebody else (RFC 9114,
// section 5.2).
func (s *server) drainHTTP3(h *http3.Server) {
	s.draining.Store(true)
	over, stop := context.WithTimeout(s.ctx, s.p.drain)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { h.Shutdown(over) }) //nolint:errcheck // it says whether clients went by themselves
	tick := time.NewTicker(s.p.grain)
	defer tick.Stop()
	for over.Err() == nil {
		select {
		case <-tick.C:
		case <-over.Done():
		}
		if s.idle() {
			break
		}
	}
	s.each((*leash).kill)
	h.Close()
	group.Wait()
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
	c := newClient(s, conn.RemoteAddr())
	c.stats.connections.Add(1)
	context.AfterFunc(conn.Context(), func() { c.stats.connections.Add(-1) })
	return context.WithValue(ctx, clientKey{}, c)
}

func (s *server) serveHTTP3(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(clientKey{}).(*client)
	s.serveNet(c, w, r)
}
