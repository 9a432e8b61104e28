package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// pair returns a connection as the engine dials it, and its other end.
func pair(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := &Endpoint{spec: route.Endpoint{Addr: netip.MustParseAddrPort(l.Addr().String())}}
	b, err := e.dial(context.Background(), Timeouts{Dial: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	b.SetDeadline(time.Now().Add(5 * time.Second))
	other.SetDeadline(time.Now().Add(5 * time.Second))
	return b, other.(*net.TCPConn)
}

// converse carries one earlier request over b.
func converse(t *testing.T, b *Conn, other *net.TCPConn) {
	t.Helper()
	n, err := b.Write([]byte("request"))
	if err != nil {
		t.Fatal(err)
	}
	b.sent += int64(n)
	buf := make([]byte, 100)
	if _, err := other.Read(buf); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("response")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(buf); err != nil {
		t.Fatal(err)
	}
}

func TestDelivered(t *testing.T) {
	buf := make([]byte, 100)
	t.Run("closed before the request came", func(t *testing.T) {
		b, other := pair(t)
		converse(t, b, other)
		other.Close()
		if _, err := b.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		b.Sent(5)
		_, err := b.Read(buf)
		if !errors.Is(err, io.EOF) || b.Delivered(err) {
			t.Errorf("%v: delivered", err)
		}
	})
	t.Run("read and closed", func(t *testing.T) {
		b, other := pair(t)
		converse(t, b, other)
		if _, err := b.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		b.Sent(5)
		if _, err := other.Read(buf); err != nil {
			t.Fatal(err)
		}
		other.Close()
		if _, err := b.Read(buf); !b.Delivered(err) {
			t.Errorf("%v: not delivered", err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		b, other := pair(t)
		converse(t, b, other)
		if _, err := b.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		b.Sent(5)
		other.SetLinger(0)
		other.Close()
		if _, err := b.Read(buf); !b.Delivered(err) {
			t.Errorf("%v: not delivered", err)
		}
	})
}

// TestTake shows that a POST waits for no connection that may be about to
// close, and leaves it to others.
func TestTake(t *testing.T) {
	b, _ := pair(t)
	b.since = 100
	ep := &Endpoint{idle: []*Conn{b}}
	if got := ep.take(9, 110); got != nil {
		t.Error("took an old one")
	}
	if got := ep.take(10, 110); got != b || len(ep.idle) != 0 {
		t.Errorf("took %p", got)
	}
}

func TestFit(t *testing.T) {
	b, other := pair(t)
	converse(t, b, other)
	if !b.fit() {
		t.Error("open and silent: not fit")
	}
	other.Write([]byte("x"))
	for b.sock.Quiet() {
	}
	if b.fit() {
		t.Error("said something unasked: fit")
	}
	b.Read(make([]byte, 1))
	other.Close()
	for b.sock.Quiet() {
	}
	if b.fit() {
		t.Error("closed: fit")
	}
}
