package http2_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-lb/portico/l7/http2"
)

// clock is a real one.
func clock() func() int64 {
	start := time.Now()
	return func() int64 { return int64(time.Since(start)) }
}

// listen serves connections to a fresh address with serve until the test ends.
// wrap is what stands between the socket and HTTP/2, nil for nothing.
func listen(t testing.TB, s http2.Settings, wrap func(net.Conn) net.Conn, serve func(*http2.Stream)) string {
	t.Helper()
	if s.Now == nil {
		s.Now = clock()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if wrap != nil {
				nc = wrap(nc)
			}
			group.Go(func() {
				http2.New(nc, s, serve).Serve(ctx)
				part(nc)
			})
		}
	})
	t.Cleanup(func() {
		stop()
		l.Close()
		group.Wait()
	})
	return l.Addr().String()
}

// part closes a connection that has been served, once the client has.
func part(nc net.Conn) {
	defer nc.Close()
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		nc.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, nc)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
