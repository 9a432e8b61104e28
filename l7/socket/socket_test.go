package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/socket"
)

// pair returns a connection under test and its peer.
func pair(t testing.TB) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	c, err := socket.New(near.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	return c, peer.(*net.TCPConn)
}

func TestReadWrite(t *testing.T) {
	c, peer := pair(t)
	// More than the kernel holds for both sides together, so that writes wait.
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		failed <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes arrived of %d, %v", len(got), len(sent), err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}

	go func() {
		_, err := peer.Write(sent)
		failed <- errors.Join(err, peer.CloseWrite())
	}()
	got, err = io.ReadAll(struct{ io.Reader }{c})
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes were read of %d, %v", len(got), len(sent), err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
}

func TestErrors(t *testing.T) {
	c, peer := pair(t)
	buf := make([]byte, 16)
	c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %d, %v", n, err)
	}
	c.SetReadDeadline(time.Time{})

	peer.SetLinger(0)
	peer.Close() // resets
	if n, err := c.Read(buf); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reset: %d, %v", n, err)
	}
	if n, err := c.Write(buf); n != 0 || err == nil {
		t.Errorf("write after a reset: %d, %v", n, err)
	}
	c.Close()
	if _, err := c.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed one: %v", err)
	}
	if _, err := c.Write(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed one: %v", err)
	}
}

func TestPeek(t *testing.T) {
	c, peer := pair(t)
	if !c.Quiet() || c.Pending() {
		t.Error("something came of which nobody knows")
	}
	peer.Write([]byte("x"))
	for c.Quiet() {
	}
	if !c.Pending() {
		t.Error("a byte that came is not pending")
	}
	buf := make([]byte, 16)
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Errorf("the byte: %d, %v", n, err)
	}
	if !c.Quiet() || c.Pending() {
		t.Error("the byte is there again")
	}
	peer.Close()
	for c.Quiet() {
	}
	if c.Pending() {
		t.Error("an end counts for a byte")
	}
}

func TestAllocates(t *testing.T) {
	c, peer := pair(t)
	out, in := make([]byte, 64), make([]byte, 64)
	got := testing.AllocsPerRun(100, func() {
		c.Write(out)
		io.ReadFull(peer, in)
		peer.Write(in)
		c.Quiet()
		c.Read(in)
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}
