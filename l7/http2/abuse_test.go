package http2_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/http2"
)

// TestAbuse sends what is wrong or too much. Each row says what must come of
// it; after a line about a stream, or a response, the connection must serve on.
func TestAbuse(t *testing.T) {
	const last = 9999 // the stream that shows that all is well
	times := func(n int, do func(p *peer, i int)) func(*peer) {
		return func(p *peer) {
			for i := range n {
				do(p, i)
			}
		}
	}
	request := func(end bool, fields []string) func(*peer) {
		return func(p *peer) { p.open(1, end, fields) }
	}
	settings := http2.Settings{MaxConcurrentStreams: 100, Now: func() int64 { return 0 }}
	calm := "GOAWAY 0 ENHANCE_YOUR_CALM"
	for _, tt := range []struct {
		name string
		want string
		do   func(p *peer)
	}{
		{"rapid reset, CVE-2023-44487", calm, times(1000, func(p *peer, i int) {
			p.open(uint32(2*i+1), true, with(get, "wait", "1"))
			p.WriteRSTStream(uint32(2*i+1), xhttp2.ErrCodeCancel)
		})},
		{"resets of ours on demand, CVE-2025-8671", calm, times(1000, func(p *peer, i int) {
			p.open(uint32(2*i+1), true, with(get, "wait", "1"))
			p.WriteWindowUpdate(uint32(2*i+1), 0)
		})},
		{"malformed requests without end", calm, times(1000, func(p *peer, i int) {
			p.open(uint32(2*i+1), true, get[2:])
		})},
		{"more streams than allowed without end", calm, times(1000, func(p *peer, i int) {
			p.open(uint32(2*i+1), true, with(get, "wait", "1"))
		})},
		{"CONTINUATION without end, CVE-2023-45288", calm, func(p *peer) {
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get)})
			for range 1000 {
				p.WriteContinuation(1, false, p.encode([]string{"a", strings.Repeat("b", 100)}))
			}
		}},
		{"empty CONTINUATION, CVE-2024-27316", calm, func(p *peer) {
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get)})
			for range 1000 {
				p.WriteContinuation(1, false, nil)
			}
		}},
		{"header block too long to be decoded", calm, func(p *peer) {
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get)})
			for range 6 { // as few and large as may be
				p.WriteContinuation(1, false, p.encode([]string{"a", strings.Repeat("é", 8000)}))
			}
		}},
		{"SETTINGS flood, CVE-2019-9515", calm, times(3000, func(p *peer, _ int) { p.WriteSettings() })},
		{"PING flood, CVE-2019-9512", calm, times(3000, func(p *peer, _ int) { p.WritePing(false, [8]byte{}) })},
		{"PRIORITY flood, CVE-2019-9513", calm, times(3000, func(p *peer, _ int) {
			p.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3})
		})},
		{"WINDOW_UPDATE flood", calm, times(3000, func(p *peer, _ int) { p.WriteWindowUpdate(0, 1) })},
		{"frames of no known type", calm, times(3000, func(p *peer, _ int) { p.WriteRawFrame(0xfa, 0, 0, nil) })},
		{"empty DATA flood, CVE-2019-9518", calm, func(p *peer) {
			p.open(1, false, post)
			for range 3000 {
				p.WriteData(1, false, nil)
			}
		}},
		{"RST_STREAM flood on a closed stream", calm, func(p *peer) {
			p.open(1, true, get)
			p.await("HEADERS 1")
			for range 3000 {
				p.WriteRSTStream(1, xhttp2.ErrCodeCancel)
			}
		}},
		{"header list too large", "HEADERS 1 :status=431 END", func(p *peer) {
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: p.encode(get)})
			for i := range 5 {
				p.WriteContinuation(1, i == 4, p.encode([]string{"a", strings.Repeat("é", 7000)}))
			}
		}},
		{"too many fields", "HEADERS 1 :status=431 END", func(p *peer) {
			fields := with(get)
			for range 129 {
				fields = append(fields, "a", "b")
			}
			p.open(1, true, fields)
		}},
		{"HPACK bomb, CVE-2016-6581", "HEADERS 1 :status=431 END", func(p *peer) {
			fields := with(get)
			for range 5000 {
				fields = append(fields, "a", strings.Repeat("b", 3000)) // a byte each, but for the first
			}
			p.open(1, true, fields)
		}},
		{"table larger than allowed", "GOAWAY 0 COMPRESSION_ERROR", func(p *peer) {
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: []byte{0x3f, 0xe1, 0xff, 0x03}})
		}},
		{"window of a stream overflows", "RST_STREAM 1 FLOW_CONTROL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			p.WriteWindowUpdate(1, 1<<31-1)
		}},
		{"window of the connection overflows", "GOAWAY 0 FLOW_CONTROL_ERROR", func(p *peer) {
			p.WriteWindowUpdate(0, 1<<31-1)
		}},
		{"window overflows by SETTINGS", "GOAWAY 0 FLOW_CONTROL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			p.WriteWindowUpdate(1, 1<<31-1<<16)
			p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
		}},
		{"more than the window of a stream", "RST_STREAM 1 FLOW_CONTROL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			for range 17 {
				p.WriteData(1, false, make([]byte, 16<<10))
			}
		}},
		{"more than the window of the connection", "GOAWAY 0 FLOW_CONTROL_ERROR", func(p *peer) {
			for id := uint32(1); id < 11; id += 2 {
				p.open(id, false, with(post, "wait", "1"))
				for range 16 {
					p.WriteData(id, false, make([]byte, 16<<10))
				}
			}
		}},
		{"longer than Content-Length", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "content-length", "3", "wait", "1"))
			p.WriteData(1, false, []byte("1234"))
		}},
		{"shorter than Content-Length", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "content-length", "3", "wait", "1"))
			p.WriteData(1, true, []byte("12"))
		}},
		{"shorter than Content-Length, with trailers", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "content-length", "3", "wait", "1"))
			p.open(1, true, []string{"sum", "1"})
		}},
		{"Content-Length without a body", "RST_STREAM 1 PROTOCOL_ERROR", request(true, with(post, "content-length", "3"))},
		{"trailers without the end", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			p.open(1, false, []string{"sum", "1"})
		}},
		{"trailers with a pseudo-header field", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			p.open(1, true, []string{":path", "/admin"})
		}},
		{"trailers too large", "RST_STREAM 1 PROTOCOL_ERROR", func(p *peer) {
			p.open(1, false, with(post, "wait", "1"))
			fields := []string{}
			for range 129 {
				fields = append(fields, "a", "b")
			}
			p.open(1, true, fields)
		}},
		{"DATA behind the end", "RST_STREAM 1 STREAM_CLOSED", func(p *peer) {
			p.open(1, true, with(get, "wait", "1"))
			p.WriteData(1, false, []byte("x"))
		}},
		{"a smuggled line", "RST_STREAM 1 PROTOCOL_ERROR", request(true, with(get, "a", "b\r\nc: d"))},
		{"another HTTP version's request", "GOAWAY 0 PROTOCOL_ERROR", func(p *peer) {
			p.WriteRawFrame(xhttp2.FramePushPromise, 4, 1, make([]byte, 8))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := dial(t, listen(t, settings, nil, patient))
			tt.do(p)
			p.await(tt.want)
			if strings.HasPrefix(tt.want, "GOAWAY") {
				p.await("")
				return
			}
			p.open(last, true, get)
			p.await("HEADERS 9999 :status=200")
		})
	}
}

// patient answers when the request's body has ended, or never if it has a
// field wait.
func patient(s *http2.Stream) {
	for _, f := range s.Fields {
		if string(f.Name) == "wait" {
			<-s.Done()
			return
		}
	}
	b := make([]byte, 1<<10)
	for {
		if _, err := s.Read(b); err == io.EOF {
			s.WriteHead(200, nil, true)
			return
		} else if err != nil {
			return
		}
	}
}

// TestResetStreamsCount checks that streams count while they are served,
// though the client has reset them.
func TestResetStreamsCount(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	addr := listen(t, http2.Settings{MaxConcurrentStreams: 10}, nil, func(s *http2.Stream) {
		most.Store(max(most.Load(), running.Add(1)))
		<-release
		running.Add(-1)
	})
	t.Cleanup(func() { close(release) }) // before listen's
	p := dial(t, addr)
	for i := range uint32(30) {
		p.open(2*i+1, true, get)
		p.WriteRSTStream(2*i+1, xhttp2.ErrCodeCancel)
	}
	p.await("RST_STREAM 41 REFUSED_STREAM")
	if n := most.Load(); n > 20 {
		t.Errorf("%d streams were served at once", n)
	}
}

// TestRapidReset resets one request after the other, each before it was
// answered, and pays for that alone.
func TestRapidReset(t *testing.T) {
	inBubble(t, brief, patient, func(t *testing.T, w *world) {
		w.hello()
		for i := range uint32(513) {
			w.open(2*i+1, true, with(get, "wait", "1"))
			synctest.Wait()
			w.WriteRSTStream(2*i+1, xhttp2.ErrCodeCancel)
			synctest.Wait()
		}
		w.await("GOAWAY 0 ENHANCE_YOUR_CALM")
	})
}

// TestUnread checks that bytes which were read before Serve count.
func TestUnread(t *testing.T) {
	for n := range len(http2.Preface) + 5 {
		client, server := net.Pipe()
		c := http2.New(server, http2.Settings{Now: clock()}, patient)
		over := make(chan error)
		go func() {
			early := make([]byte, n)
			io.ReadFull(server, early)
			c.Unread(early)
			over <- c.Serve(t.Context())
		}()
		p := newPeer(t, client)
		p.hello()
		p.open(1, true, get)
		p.await("HEADERS 1 :status=200 END")
		client.Close()
		if err := <-over; err != nil {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}
