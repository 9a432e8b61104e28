package never

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// connected is a socket of UDP that hears that nobody listens, as those of
// browsers do.
type connected struct{ c net.Conn }

func (c connected) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.c.Read(p)
	return n, c.c.RemoteAddr(), err
}
func (c connected) WriteTo(p []byte, _ net.Addr) (int, error) { return c.c.Write(p) }
func (c connected) Close() error                              { return c.c.Close() }
func (c connected) LocalAddr() net.Addr                       { return c.c.LocalAddr() }
func (c connected) SetDeadline(t time.Time) error             { return c.c.SetDeadline(t) }
func (c connected) SetReadDeadline(t time.Time) error         { return c.c.SetReadDeadline(t) }
func (c connected) SetWriteDeadline(t time.Time) error        { return c.c.SetWriteDeadline(t) }

// dialHTTP3 begins a connection of QUIC.
func (s *site) dialHTTP3(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	c, err := s.node.DialContext(ctx, "udp", podlessAddress+":443")
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: connected{c}}
	end := func() {
		tr.Close()
		c.Close()
	}
	conn, err := tr.Dial(ctx, c.RemoteAddr(), tc, qc)
	if err != nil {
		end()
		return nil, err
	}
	context.AfterFunc(conn.Context(), end)
	return conn, nil
}

// askHTTP3 sends an order over HTTP/3. What the proxy says that it has not begun
// goes again (RFC 9114, section 5.2).
func (s *site) askHTTP3(ctx context.Context, o order) {
	tr := &http3.Transport{
		TLSClientConfig: clientTLS(o.host),
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: patience},
		Dial:            s.dialHTTP3,
	}
	defer tr.Close()
	c := http.Client{Transport: tr, Timeout: patience}
	for ctx.Err() == nil {
		began := time.Now()
		resp, err := c.Get("https://" + o.host + o.path)
		var refused *http3.Error
		if errors.As(err, &refused) && refused.ErrorCode == http3.ErrCodeRequestRejected {
			s.tally.move()
			continue
		}
		if err == nil {
			_, sum := o.body()
			_, err = check(resp, http.MethodGet, sum)
		}
		s.tally.count(o.kind, began, err)
	}
}

// TestRestartsHTTP3 replaces the process while clients ask over HTTP/3: by a
// successor, and by a stop and a start.
func TestRestartsHTTP3(t *testing.T) {
	s := newSite(t)
	s.http3 = true
	s.configure(0)
	s.furnish()
	m := s.manage()
	s.startUnder(m)
	s.awaitRoutes()
	stored := func() error { return m.has("/80", "/443", "/9181", "udp@/443") }
	s.until(t.Context(), "sockets with the manager", stored)
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, path := range []string{"/", "/", "/slow"} {
		clients.Go(func() { s.askHTTP3(ctx, order{kind: "HTTP/3 " + path, host: "polite.test", path: path}) })
	}
	s.answer(100)
	for n := range 2 {
		old := m.mainPID()
		syscall.Kill(old, syscall.SIGUSR2)
		s.until(t.Context(), "a successor", func() error {
			if m.mainPID() == old {
				return errors.New("the old process is the main one")
			}
			return nil
		})
		began := time.Now()
		s.gone(t.Context(), old) // a third socket would get nothing before
		s.until(t.Context(), "sockets with the manager", stored)
		s.answer(100)
		t.Logf("successor %d: the old process was there for %v", n+1, time.Since(began).Round(time.Millisecond))
	}
	for n := range 5 {
		began, old := time.Now(), m.mainPID()
		syscall.Kill(old, syscall.SIGTERM)
		s.gone(t.Context(), old)
		stopped := time.Now()
		s.startUnder(m)
		s.answer(100)
		t.Logf("restart %d: %v until the stop, %v until it serves again", n+1, stopped.Sub(began).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
	}
	leave()
	clients.Wait()
	s.verdict()
	syscall.Kill(m.mainPID(), syscall.SIGTERM)
	s.gone(context.Background(), m.mainPID())
	s.until(context.Background(), "sockets with the manager", func() error {
		if err := stored(); err != nil {
			return fmt.Errorf("behind the end: %w", err)
		}
		return nil
	})
}
