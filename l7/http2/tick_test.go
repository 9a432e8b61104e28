package http2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/http2"
)

// A world is a connection over a pipe in a bubble of synctest, ticked every
// 100 ms.
type world struct {
	*peer
	conn *http2.Conn
	stop func()
	err  error // of Serve, once over is closed
	over chan struct{}
}

// inBubble runs do with a connection whose client has sent nothing yet.
func inBubble(t *testing.T, s http2.Settings, serve func(*http2.Stream), do func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s.Now = clock()
		ctx, stop := context.WithCancel(t.Context())
		w := &world{conn: http2.New(server, s, serve), stop: stop, over: make(chan struct{})}
		go func() {
			defer close(w.over)
			w.err = w.conn.Serve(ctx)
			server.Close()
		}()
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					w.conn.Tick()
				case <-w.over:
					return
				}
			}
		}()
		w.peer = newPeer(t, client)
		do(t, w)
		client.Close()
		stop()
		<-w.over
	})
}

// ends checks when Serve returns, and with what.
func (w *world) ends(t *testing.T, after time.Duration, reason string) {
	t.Helper()
	start := time.Now()
	<-w.over
	if got := time.Since(start); got < after-200*time.Millisecond || got > after+300*time.Millisecond {
		t.Errorf("Serve returned after %v, want %v", got, after)
	}
	got := "<nil>"
	if w.err != nil {
		got = w.err.Error()
	}
	if !strings.Contains(got, reason) {
		t.Errorf("Serve returned %s, want %s", got, reason)
	}
}

var brief = http2.Settings{Idle: time.Minute, Head: 5 * time.Second, Stall: 10 * time.Second, Ping: 20 * time.Second}

// TestTimes is what becomes of clients that take their time.
func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(p *peer)
		after  time.Duration
		reason string
	}{
		{"no preface", func(*peer) {}, 5 * time.Second, "too long"},
		{"half a preface", func(p *peer) { p.nc.Write([]byte("PRI *")) }, 5 * time.Second, "too long"},
		{"preface without SETTINGS", func(p *peer) { p.nc.Write([]byte(http2.Preface)) }, 5 * time.Second, "too long"},
		{"nothing behind it", func(p *peer) { p.hello() }, time.Minute + time.Second, "<nil>"},
		{"half a frame", func(p *peer) {
			p.hello()
			p.nc.Write([]byte{0, 0, 10, 1, 4, 0, 0, 0, 1, 'x'})
		}, 5 * time.Second, "too long"},
		{"half a header block", func(p *peer) {
			p.hello()
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get)})
			p.WriteContinuation(1, false, []byte{})
		}, 0, "ENHANCE_YOUR_CALM"},
		{"a header block, a frame at a time", func(p *peer) {
			p.hello()
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get)})
			time.Sleep(3 * time.Second)
			p.WriteContinuation(1, false, p.encode([]string{"a", "b"}))
		}, 2 * time.Second, "too long"},
		{"half a frame of a body", func(p *peer) {
			p.hello()
			p.open(1, false, post)
			p.nc.Write([]byte{0, 0, 10, 0, 0, 0, 0, 0, 1, 'x'})
			p.await("RST_STREAM 1 CANCEL") // the stream is over, and then there is none
		}, time.Minute + time.Second, "<nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, brief, patient, func(t *testing.T, w *world) {
				tt.do(w.peer)
				w.ends(t, tt.after, tt.reason)
			})
		})
	}
}

// TestStall checks that a stream whose client does nothing ends, and the
// connection does not.
func TestStall(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings xhttp2.Setting
		serve    func(s *http2.Stream) error
	}{
		{"body that does not come", xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20}, func(s *http2.Stream) error {
			_, err := s.Read(make([]byte, 10))
			return err
		}},
		{"window that does not open", xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 100}, func(s *http2.Stream) error {
			s.WriteHead(200, nil, false)
			n, err := s.Write(make([]byte, 1000))
			if n != 100 {
				err = errors.New("not 100 bytes sent")
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := make(chan error, 2)
			inBubble(t, brief, func(s *http2.Stream) {
				if string(s.Method) == "POST" {
					said <- tt.serve(s)
				} else {
					patient(s)
				}
			}, func(t *testing.T, w *world) {
				w.hello(tt.settings)
				w.open(1, false, post)
				start := time.Now()
				w.await("RST_STREAM 1 CANCEL")
				if d := time.Since(start); d < 10*time.Second || d > 11*time.Second {
					t.Errorf("reset after %v", d)
				}
				if err := <-said; !errors.Is(err, http2.ErrStalled) {
					t.Errorf("stream said %v", err)
				}
				w.open(3, true, get)
				w.await("HEADERS 3 :status=200")
			})
		})
	}
}

// TestSlowReader checks that a client that takes nothing is cut off.
func TestSlowReader(t *testing.T) {
	said := make(chan error, 2)
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := brief
		s.Now = clock()
		c := http2.New(server, s, func(s *http2.Stream) {
			s.WriteHead(200, nil, false)
			_, err := s.Write(make([]byte, 1<<20))
			said <- err
		})
		over := make(chan error, 1)
		go func() { over <- c.Serve(t.Context()) }()
		p := mute(t, client)
		go p.hello() // and nobody reads
		start := time.Now()
		for len(over) == 0 {
			time.Sleep(100 * time.Millisecond)
			c.Tick()
		}
		if err := <-over; err == nil || !strings.Contains(err.Error(), "takes nothing") {
			t.Errorf("Serve returned %v", err)
		}
		if d := time.Since(start); d > 11*time.Second {
			t.Errorf("after %v", d)
		}
		client.Close()
	})
}

// TestPing checks that a silent client is asked, and cut off when it does not
// answer.
func TestPing(t *testing.T) {
	inBubble(t, brief, patient, func(t *testing.T, w *world) {
		w.hello()
		w.open(1, true, with(get, "wait", "1"))
		for range 5 {
			w.await("PING 0")
			w.WritePing(true, [8]byte{'a', 'l', 'i', 'v', 'e'})
		}
		w.await("PING 0")
		w.ends(t, 20*time.Second, "does not answer")
	})
}

// TestShutdown checks that nothing is refused that crosses a farewell.
func TestShutdown(t *testing.T) {
	for _, answers := range []bool{true, false} {
		inBubble(t, brief, func(s *http2.Stream) {
			time.Sleep(5 * time.Second)
			s.WriteHead(200, nil, true)
		}, func(t *testing.T, w *world) {
			w.hello()
			w.open(1, true, get)
			synctest.Wait()
			w.conn.Shutdown()
			w.conn.Shutdown()
			w.await("GOAWAY 0 NO_ERROR last 2147483647")
			w.await("PING 0")
			w.open(3, true, get)
			if answers {
				w.WritePing(true, [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'})
			}
			w.await("GOAWAY 0 NO_ERROR last 3")
			w.open(5, false, post)
			w.WriteData(5, true, []byte("x"))
			w.WriteWindowUpdate(5, 1)
			w.WriteRSTStream(5, xhttp2.ErrCodeCancel)
			w.ends(t, 5*time.Second-lasted(answers), "<nil>")
			w.await("HEADERS ")
			w.await("HEADERS ")
			w.await("")
			for _, line := range w.seen {
				if strings.Contains(line, " 5") || strings.HasPrefix(line, "RST") {
					t.Errorf("after the end: %s", line)
				}
			}
		})
	}
}

// lasted is how long a farewell lasts.
func lasted(answered bool) time.Duration {
	if answered {
		return 0
	}
	return time.Second
}

// TestResetWhileWriting checks that a stream ends that is reset while its
// frames are being written.
func TestResetWhileWriting(t *testing.T) {
	said := make(chan error, 1)
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := brief
		s.Now = clock()
		c := http2.New(server, s, func(s *http2.Stream) {
			s.WriteHead(200, nil, false)
			_, err := s.Write(make([]byte, 100))
			said <- err
		})
		over := make(chan error, 1)
		go func() { over <- c.Serve(t.Context()) }()
		p := mute(t, client)
		greeting := make([]byte, 9+5*6+13)
		greeted := make(chan struct{})
		go func() {
			p.hello(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10})
			close(greeted)
		}()
		readFull(t, client, greeting)
		readFull(t, client, make([]byte, 9)) // the acknowledgement
		<-greeted
		p.open(1, true, get)
		synctest.Wait() // the stream has no window, and its first frames are stuck in the pipe
		p.WriteRSTStream(1, xhttp2.ErrCodeCancel)
		synctest.Wait()
		readFull(t, client, make([]byte, 10))
		go func() {
			for b := make([]byte, 100); ; {
				if _, err := client.Read(b); err != nil {
					return
				}
			}
		}()
		var reset *http2.ResetError
		if err := <-said; !errors.As(err, &reset) || !reset.Remote || reset.Code != http2.Cancel {
			t.Errorf("stream said %v", err)
		}
		client.Close()
		if err := <-over; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func readFull(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := io.ReadFull(nc, b); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownOfNew checks that a client whose connection was made just before
// the end has its first request answered.
func TestShutdownOfNew(t *testing.T) {
	inBubble(t, brief, func(s *http2.Stream) { s.WriteHead(200, nil, true) }, func(t *testing.T, w *world) {
		w.conn.Shutdown()
		w.hello()
		time.Sleep(time.Second / 2)
		w.WritePing(false, [8]byte{})
		w.await(`PING 0 "\x00`)
		if strings.Contains(strings.Join(w.seen, "\n"), "GOAWAY") {
			t.Errorf("told to leave before the first request: %q", w.seen)
		}
		w.open(1, true, get)
		w.await("GOAWAY 0 NO_ERROR last 2147483647")
		w.await("HEADERS ")
	})
	inBubble(t, brief, patient, func(t *testing.T, w *world) {
		w.hello()
		w.conn.Shutdown()
		w.await("GOAWAY 0 NO_ERROR last 2147483647")
		w.await("GOAWAY 0 NO_ERROR last 0")
	})
}
