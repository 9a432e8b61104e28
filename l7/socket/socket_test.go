package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/socket"
)

// A maker makes a connection under test and its peer.
type maker func(testing.TB) (*socket.Conn, *net.TCPConn)

// each runs test with connections of the poller's and with ones that it does
// not know yet.
func each(t *testing.T, test func(t *testing.T, pair maker)) {
	t.Run("known", func(t *testing.T) { test(t, known) })
	t.Run("accepted", func(t *testing.T) { test(t, accepted) })
}

func known(t testing.TB) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	peer := dial(t, l)
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	c, err := socket.New(near.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	return c, peer
}

func accepted(t testing.TB) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	l, err := socket.Listen(listen(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer := dial(t, l)
	peer.Write([]byte{0})
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if n, err := near.Read(make([]byte, 1)); n != 1 {
		t.Fatal(err)
	}
	return near.(*socket.Conn), peer
}

func listen(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func dial(t testing.TB, l net.Listener) *net.TCPConn {
	t.Helper()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return peer.(*net.TCPConn)
}

func TestReadWrite(t *testing.T) { each(t, testReadWrite) }

func testReadWrite(t *testing.T, pair maker) {
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

func TestErrors(t *testing.T) { each(t, testErrors) }

func testErrors(t *testing.T, pair maker) {
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

func TestPeek(t *testing.T) { each(t, testPeek) }

func testPeek(t *testing.T, pair maker) {
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

func TestAllocates(t *testing.T) { each(t, testAllocates) }

func testAllocates(t *testing.T, pair maker) {
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

// TestEnds shows what the peer of a connection hears that ends before anybody
// has waited for it, and what those hear who use it then.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*socket.Conn){
		"End":        (*socket.Conn).End,
		"Close":      func(c *socket.Conn) { c.Close() },
		"CloseWrite": func(c *socket.Conn) { c.CloseWrite() },
		"known": func(c *socket.Conn) {
			c.SetDeadline(time.Now().Add(time.Minute))
			c.End()
		},
	} {
		c, peer := accepted(t)
		c.Write([]byte("word"))
		end(c)
		if b, err := io.ReadAll(peer); string(b) != "word" || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if name == "CloseWrite" {
			continue
		}
		if _, err := c.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s, then a write: %v", name, err)
		}
		if c.Pending() || c.Quiet() || c.CloseWrite() == nil || c.Close() == nil || c.SetDeadline(time.Unix(1, 0)) == nil {
			t.Errorf("%s, and still of use", name)
		}
	}
	c, peer := accepted(t)
	c.Tear()
	c.End()
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("torn: %v", err)
	}
}

// TestInterrupt shows that a deadline ends waits from the first on, whoever
// sets it and whenever.
func TestInterrupt(t *testing.T) {
	for range 200 {
		c, _ := accepted(t)
		done := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		c.SetDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		c.SetDeadline(time.Time{})
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}
