package http2_test

import (
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/http2"
)

// TestConnectionWindow checks that streams share what window a connection
// gets, and that one which ends while it waits takes nothing along.
func TestConnectionWindow(t *testing.T) {
	const streams, size = 4, 200_000
	serve := func(s *http2.Stream) {
		s.WriteHead(200, nil, false)
		s.WriteLast(make([]byte, size))
	}
	inBubble(t, brief, serve, func(t *testing.T, w *world) {
		w.hello(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
		for i := range uint32(streams) {
			w.open(2*i+1, true, get)
		}
		got, ended := map[string]int{}, 0
		var order []string
		drain := func() {
			synctest.Wait()
			for len(w.lines) > 0 {
				var id string
				var n int
				line := <-w.lines
				if c, _ := fmt.Sscanf(line, "DATA %s %d", &id, &n); c == 2 {
					got[id] += n
					order = append(order, id)
				}
				if strings.HasSuffix(line, "END") {
					ended++
				}
			}
		}
		drain()
		if n := got["1"] + got["3"] + got["5"] + got["7"]; n != 65535 {
			t.Fatalf("%d bytes went into a window of 65535: %v", n, got)
		}
		whole := maps.Clone(got)
		clear(got)
		order = nil
		for range 8 * streams {
			w.WriteWindowUpdate(0, 4096)
			drain()
		}
		for id := 1; id < 2*streams; id += 2 {
			if n := got[fmt.Sprint(id)]; n != 8*4096 {
				t.Errorf("stream %d got %d bytes of %d", id, n, 8*4096)
			}
		}
		// The first in the queue has no window of its own, the second dies.
		dead, last := order[1], order[3]
		w.WriteRSTStream(number(dead), xhttp2.ErrCodeCancel)
		w.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
		w.WriteWindowUpdate(number(last), 1<<20)
		synctest.Wait()
		w.WriteWindowUpdate(0, 1<<20)
		drain()
		if ended != 1 || got[last]+whole[last] != size {
			t.Errorf("%d streams ended, not the one with window, %s: %v", ended, last, got)
		}
		w.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
		drain()
		if ended != streams-1 || got[dead] != 8*4096 {
			t.Errorf("%d streams ended: %v", ended, got)
		}
	})
}

func number(id string) uint32 {
	n, _ := strconv.Atoi(id)
	return uint32(n)
}

// TestReceiveWindow checks that a client gets its window back when the body is
// read, and not before: also what nobody reads, once the stream is over.
func TestReceiveWindow(t *testing.T) {
	settings := brief
	settings.InitialWindow, settings.ConnWindow = 1<<16, 1<<17
	serve := func(s *http2.Stream) {
		for _, f := range s.Fields {
			if string(f.Name) == "read" {
				io.Copy(io.Discard, s)
			}
		}
		time.Sleep(time.Millisecond) // the body comes, if it has not
		s.WriteHead(200, nil, true)
	}
	inBubble(t, settings, serve, func(t *testing.T, w *world) {
		w.hello()
		w.open(1, false, with(post, "read", "1"))
		for range 6 {
			for range 4 {
				w.WriteDataPadded(1, false, make([]byte, 1<<13-101), make([]byte, 100))
			}
			w.await("WINDOW_UPDATE 1 32768")
		}
		w.WriteData(1, true, nil)
		w.await("HEADERS 1 :status=200 END")
		for id := uint32(3); id < 600; id += 2 { // a hundred times the connection's window, and once in padding
			w.open(id, false, post)
			for range 3 {
				w.WriteDataPadded(id, false, make([]byte, 1<<14-251), make([]byte, 250))
			}
			w.await(fmt.Sprintf("HEADERS %d :status=200 END", id))
			w.await(fmt.Sprintf("RST_STREAM %d NO_ERROR", id))
			w.WriteData(id, false, make([]byte, 1<<14)) // it crossed the end
		}
		w.open(601, true, get)
		w.await("HEADERS 601 :status=200 END")
	})
}

// TestMisuse checks what a stream says to one who writes out of turn.
func TestMisuse(t *testing.T) {
	said := make(chan string, 20)
	serve := func(s *http2.Stream) {
		note := func(what string, err error) { said <- fmt.Sprintf("%s: %v", what, err) }
		_, err := s.Write([]byte("x"))
		note("body first", err)
		note("interim", s.WriteInterim(103, []http2.Field{{Name: []byte("Link"), Value: []byte("</a>")}}))
		note("head", s.WriteHead(200, nil, false))
		note("head again", s.WriteHead(200, nil, false))
		note("interim behind", s.WriteInterim(103, nil))
		note("last", s.WriteLast([]byte("body")))
		note("end again", s.WriteEnd(nil))
		s.Reset(http2.Cancel) // too late
		close(said)
	}
	p := dial(t, listen(t, http2.Settings{}, nil, serve))
	p.open(1, true, get)
	p.await("HEADERS 1 :status=103 link=</a>")
	p.await("HEADERS 1 :status=200")
	p.await("DATA 1 4 END")
	var got []string
	for line := range said {
		got = append(got, line)
	}
	const want = `body first: http2: out of turn
interim: <nil>
head: <nil>
head again: http2: out of turn
interim behind: http2: out of turn
last: <nil>
end again: http2: out of turn`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}

// TestUnfinished checks that a response that was not ended does not look
// whole.
func TestUnfinished(t *testing.T) {
	serve := func(s *http2.Stream) {
		switch string(s.Path) {
		case "/head":
			s.WriteHead(200, nil, false)
		case "/part":
			s.WriteHead(200, nil, false)
			s.Write([]byte("part"))
		case "/reset":
			s.Reset(http2.RefusedStream)
		}
	}
	p := dial(t, listen(t, http2.Settings{}, nil, serve))
	for i, tt := range []struct{ path, want string }{
		{"/nothing", "INTERNAL_ERROR"}, {"/head", "INTERNAL_ERROR"}, {"/part", "INTERNAL_ERROR"}, {"/reset", "REFUSED_STREAM"},
	} {
		id := uint32(2*i + 1)
		p.open(id, true, []string{":method", "GET", ":scheme", "http", ":path", tt.path})
		p.await(fmt.Sprintf("RST_STREAM %d %s", id, tt.want))
	}
}

// TestStopRead checks that a body can be left and taken up again, and that an
// aborted stream tells the client the code.
func TestStopRead(t *testing.T) {
	said := make(chan string, 10)
	serve := func(s *http2.Stream) {
		s.Patient()
		read := func() {
			n, err := s.Read(make([]byte, 10))
			said <- fmt.Sprintf("%d %v", n, err)
		}
		go func() {
			time.Sleep(15 * time.Second) // longer than others may stall
			s.StopRead(true)
		}()
		read()
		read()
		s.StopRead(false)
		read()
		go func() {
			time.Sleep(15 * time.Second)
			s.Abort(http2.EnhanceYourCalm)
		}()
		read()
	}
	inBubble(t, brief, serve, func(t *testing.T, w *world) {
		w.hello()
		w.open(1, false, post)
		time.Sleep(18 * time.Second)
		w.WriteData(1, false, []byte("body"))
		w.await("RST_STREAM 1 ENHANCE_YOUR_CALM")
		close(said)
		want := []string{"0 http2: out of turn", "0 http2: out of turn", "4 <nil>",
			"0 http2: stream reset: ENHANCE_YOUR_CALM"}
		for got := range said {
			if len(want) == 0 || got != want[0] {
				t.Fatalf("got %s, want %q", got, want)
			}
			want = want[1:]
		}
		if len(want) > 0 {
			t.Errorf("missing: %q", want)
		}
	})
}
