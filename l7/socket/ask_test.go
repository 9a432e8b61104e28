package socket_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/socket"
)

// TestAsk: what is asked arrives, and the wait ends when the peer speaks, ends its
// stream or time is over, each of which the next Read tells.
func TestAsk(t *testing.T) { each(t, testAsk) }

func testAsk(t *testing.T, pair maker) {
	c, peer := pair(t)
	b := make([]byte, 100)
	answer := func(end bool) {
		n, err := io.ReadAtLeast(peer, b[50:], 2)
		if string(b[50:50+n]) != "ab" || err != nil {
			t.Errorf("the peer read %q, %v", b[50:50+n], err)
		}
		if peer.Write([]byte("answer")); end {
			peer.CloseWrite()
		}
	}
	for _, end := range []bool{false, false, true} {
		go answer(end)
		if n, quiet, err := c.Ask([]byte("a"), []byte("b")); n != 2 || !quiet || err != nil {
			t.Fatal(n, quiet, err)
		}
		if n, err := c.Read(b[:50]); string(b[:n]) != "answer" || err != nil {
			t.Fatalf("read %q, %v", b[:n], err)
		}
	}
	if _, err := c.Read(b); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if n, quiet, err := c.Ask([]byte("a"), nil); n != 0 || quiet || err != nil {
		t.Errorf("behind the peer's end: %d, %t, %v", n, quiet, err)
	}
	peer.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := peer.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer read %q, %v", b[:n], err)
	}
}

// askedFor asks peer for a byte, has it answer with what is given, and returns when
// that is there.
func askedFor(t *testing.T, c *socket.Conn, peer io.Reader, answer func()) {
	t.Helper()
	go func() {
		io.ReadFull(peer, make([]byte, 1))
		answer()
	}()
	if n, quiet, err := c.Ask([]byte("a"), nil); n != 1 || !quiet || err != nil {
		t.Fatal(n, quiet, err)
	}
}

// TestAskNoisy: where something came that nobody asked for, nothing is written.
func TestAskNoisy(t *testing.T) { each(t, testAskNoisy) }

func testAskNoisy(t *testing.T, pair maker) {
	c, peer := pair(t)
	askedFor(t, c, peer, func() { peer.Write([]byte("408")) })
	if n, quiet, err := c.Ask([]byte("a"), nil); n != 0 || quiet || err != nil {
		t.Fatal(n, quiet, err)
	}
}

// TestAskMuch: a peer that takes slowly gets all of it.
func TestAskMuch(t *testing.T) { each(t, testAskMuch) }

func testAskMuch(t *testing.T, pair maker) {
	c, peer := pair(t)
	much := bytes.Repeat([]byte("much"), 4<<20)
	got := make(chan int)
	go func() {
		n, _ := io.Copy(io.Discard, io.LimitReader(peer, int64(len(much)+1)))
		peer.Write([]byte("x"))
		got <- int(n)
	}()
	if n, quiet, err := c.Ask(much, []byte("x")); n != len(much)+1 || !quiet || err != nil {
		t.Fatal(n, quiet, err)
	}
	if n := <-got; n != len(much)+1 {
		t.Fatalf("the peer got %d", n)
	}
}

// TestAskEnds: a deadline ends the wait and is no error of what was written; one that
// has passed before lets nothing out.
func TestAskEnds(t *testing.T) { each(t, testAskEnds) }

func testAskEnds(t *testing.T, pair maker) {
	c, peer := pair(t)
	askedFor(t, c, peer, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if n, quiet, err := c.Ask([]byte("b"), nil); n != 0 || !quiet || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it has passed: %d, %t, %v", n, quiet, err)
	}
	c.SetReadDeadline(time.Time{})
	askedFor(t, c, peer, func() {
		peer.SetLinger(0)
		peer.Close()
	})
	for range 2 { // the first one is told, all others find a connection that is gone
		if n, quiet, _ := c.Ask([]byte("c"), nil); n != 0 || quiet {
			t.Errorf("the peer is gone: %d, %t", n, quiet)
		}
	}
	c.Close()
	if n, _, err := c.Ask([]byte("d"), nil); n != 0 || err == nil {
		t.Errorf("closed: %d, %v", n, err)
	}
}
