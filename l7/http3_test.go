package l7_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/certs"
)

// TestHTTP3 serves HTTP/3 beside TCP, through a reload that replaces the
// entrypoint.
func TestHTTP3(t *testing.T) {
	addr := freeAddr(t)
	pair := certificate(t, "example.com")
	config := func(minVersion uint16) l7.Config {
		return l7.Config{Drain: 5 * time.Second, Entrypoints: []l7.Entrypoint{{
			Name: "https", Listen: addr, HTTP: l7.HTTP{HTTP2: true, HTTP3: true},
			TLS: &l7.TLS{MinVersion: minVersion, Certificates: []certs.Pair{pair}},
		}}}
	}
	reload := runL7(t, config(tls.VersionTLS12))
	tr := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}}
	defer tr.Close()
	c := http.Client{Transport: tr, Timeout: 10 * time.Second}
	for i := range 10 {
		resp, err := c.Get("https://" + addr + "/")
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 3 || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%d: got %v", i, resp)
		}
		if i == 4 {
			reload(config(tls.VersionTLS13))
		}
		tr.CloseIdleConnections()
	}
}

// TestHTTP3Restarts stops the proxy and starts another one, with the sockets that
// somebody has kept meanwhile, as systemd does: clients of HTTP/3 that ask all the
// time see no request fail, and those in between wait.
func TestHTTP3Restarts(t *testing.T) {
	addr := freeAddr(t)
	config := l7.Config{Drain: 30 * time.Second, StateDir: t.TempDir(), Entrypoints: []l7.Entrypoint{{
		Name: "https", Listen: addr, HTTP: l7.HTTP{HTTP2: true, HTTP3: true},
		TLS: &l7.TLS{MinVersion: tls.VersionTLS13, Certificates: []certs.Pair{certificate(t, "example.com")}},
	}}}
	stop := startKept(t, l7.Options{Config: config})
	var asked, again atomic.Int64
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() { askHTTP3(ctx, t, addr, &asked, &again) })
	}
	const restarts = 5
	for range restarts {
		answered(t, &asked, 50)
		o := stop()
		o.Config = config
		stop = startKept(t, o)
	}
	answered(t, &asked, 50)
	leave()
	clients.Wait()
	closeAll(stop())
	t.Logf("figure: %d requests over %d restarts, %d sent again as the proxy asked", asked.Load(), restarts, again.Load())
}

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

func dialConnected(ctx context.Context, addr string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	c, err := net.Dial("udp", addr)
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

// askHTTP3 asks until ctx ends. What was not begun is sent again, as a client has
// to (RFC 9114, section 5.2).
func askHTTP3(ctx context.Context, t *testing.T, addr string, asked, again *atomic.Int64) {
	tr := &http3.Transport{
		TLSClientConfig: &tls.Config{ServerName: "example.com", InsecureSkipVerify: true},
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: patience},
		Dial:            dialConnected,
	}
	defer tr.Close()
	c := http.Client{Transport: tr, Timeout: patience}
	for ctx.Err() == nil {
		resp, err := c.Get("https://" + addr + "/")
		var refused *http3.Error
		switch {
		case errors.As(err, &refused) && refused.ErrorCode == http3.ErrCodeRequestRejected:
			again.Add(1)
		case err != nil:
			t.Errorf("after %d requests: %v", asked.Load(), err)
			return
		default:
			resp.Body.Close()
			asked.Add(1)
		}
	}
}

// patience bounds waiting and is no claim.
const patience = 30 * time.Second

// answered waits until so many requests more have been answered.
func answered(t *testing.T, asked *atomic.Int64, more int64) {
	t.Helper()
	for first, until := asked.Load(), time.Now().Add(patience); asked.Load() < first+more; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d requests in %v", asked.Load()-first, patience)
		}
	}
}

// startKept runs a proxy until stop, which returns the sockets that it had when
// it has ended.
func startKept(t *testing.T, o l7.Options) (stop func() l7.Options) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	p := l7.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- p.Run(ctx, func() { close(ready) }) }()
	<-ready
	return func() l7.Options {
		kept := keep(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return kept
	}
}

// keep returns copies of p's sockets.
func keep(t *testing.T, p *l7.L7) l7.Options {
	t.Helper()
	o := l7.Options{Sockets: map[string]net.Listener{}, Packets: map[string]net.PacketConn{}}
	streams, err := p.Files()
	if err != nil {
		t.Fatal(err)
	}
	packets, err := p.PacketFiles()
	if err != nil {
		t.Fatal(err)
	}
	for addr, f := range streams {
		if o.Sockets[addr], err = net.FileListener(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for addr, f := range packets {
		if o.Packets[addr], err = net.FilePacketConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return o
}

func closeAll(o l7.Options) {
	for _, s := range o.Sockets {
		s.Close()
	}
	for _, s := range o.Packets {
		s.Close()
	}
}
