package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l7/socket"
)

func TestListener(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := socket.Listen(listen(t, address))
		if err != nil {
			t.Fatal(err)
		}
		peer := dial(t, l)
		peer.Write([]byte("x"))
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if near.RemoteAddr().String() != peer.LocalAddr().String() || near.LocalAddr().String() != peer.RemoteAddr().String() {
			t.Errorf("%s from %s, want %s from %s", near.LocalAddr(), near.RemoteAddr(), peer.RemoteAddr(), peer.LocalAddr())
		}
		raw, _ := near.(*socket.Conn).SyscallConn()
		raw.Control(func(fd uintptr) {
			for _, o := range [][2]int{{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}} {
				if v, err := unix.GetsockoptInt(int(fd), o[0], o[1]); v != 1 || err != nil {
					t.Errorf("option %v: %d, %v", o, v, err)
				}
			}
			if v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); v != 15 || err != nil {
				t.Errorf("idle before probes: %d s, %v", v, err)
			}
		})
		over := make(chan error)
		go func() {
			_, err := l.Accept()
			over <- err
		}()
		l.Close()
		if err := <-over; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after the end: %v", err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Error("it still listens")
		}
	}
}

// TestListenerWaits shows that a connection is accepted when its client has
// spoken or ended, and in any case after a while.
func TestListenerWaits(t *testing.T) {
	l, err := socket.Listen(listen(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := func() (net.Conn, time.Duration) {
		start := time.Now()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, time.Since(start)
	}
	dial(t, l)
	_, took := accept()
	if took < 900*time.Millisecond || took > 10*time.Second {
		t.Errorf("a silent client came after %v", took)
	}
	silent := dial(t, l)
	dial(t, l).Close()
	c, _ := accept()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("of who only connects: %d, %v", n, err)
	}
	silent.Write([]byte("late"))
	b := make([]byte, 10)
	c, _ = accept()
	if n, err := c.Read(b); string(b[:n]) != "late" {
		t.Errorf("late: %q, %v", b[:n], err)
	}
}

func TestWriteBoth(t *testing.T) { each(t, testWriteBoth) }

func testWriteBoth(t *testing.T, pair maker) {
	c, peer := pair(t)
	head, body := bytes.Repeat([]byte("h"), 5<<20), bytes.Repeat([]byte("b"), 7<<20)
	for _, parts := range [][2][]byte{{head, body}, {head[:1], body[:1]}, {head[:7], nil}} {
		failed := make(chan error, 1)
		go func() {
			n, err := c.WriteBoth(parts[0], parts[1])
			if n != len(parts[0])+len(parts[1]) {
				t.Errorf("%d bytes were written", n)
			}
			failed <- err
		}()
		want := bytes.Join(parts[:], nil)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes did not come as they were sent: %v", len(want), err)
		}
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestSplice(t *testing.T) { each(t, testSplice) }

func testSplice(t *testing.T, pair maker) {
	src, from := pair(t)
	dst, to := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(to)
		got <- b
	}()
	go func() {
		from.Write(sent)
		from.Write([]byte("next"))
		from.CloseWrite()
	}()
	if n, err := socket.Splice(dst, src, int64(len(sent)), nil); n != int64(len(sent)) || err != nil {
		t.Fatalf("%d of %d, %v", n, len(sent), err)
	}
	// What comes behind is still there, and the end is told.
	if n, err := socket.Splice(dst, src, 1<<20, nil); n != 4 || err != nil {
		t.Fatalf("%d of 4, %v", n, err)
	}
	dst.CloseWrite()
	if b := <-got; !bytes.Equal(b, append(sent, "next"...)) {
		t.Errorf("%d bytes came, not those that were sent", len(b))
	}
}

func TestSpliceErrors(t *testing.T) { each(t, testSpliceErrors) }

func testSpliceErrors(t *testing.T, pair maker) {
	src, from := pair(t)
	dst, to := pair(t)
	from.Write(make([]byte, 100))
	to.SetLinger(0)
	to.Close()
	for dst.Quiet() { // until the reset is here
	}
	var op *net.OpError
	if _, err := socket.Splice(dst, src, 100, nil); !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("to one that is away: %v", err)
	}
	src.Close()
	if _, err := socket.Splice(dst, src, 100, nil); !errors.As(err, &op) || op.Op != "read" || !errors.Is(err, net.ErrClosed) {
		t.Errorf("from one that is closed: %v", err)
	}
}
