package http2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-lb/portico/l7/http2"
)

// A tape is a connection whose client has said it all before.
type tape struct {
	net.Conn
	in  *bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) { return t.in.Read(p) }

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(p)
}
func (t *tape) SetDeadline(time.Time) error     { return nil }
func (t *tape) SetReadDeadline(time.Time) error { return nil }
func (t *tape) Close() error                    { return nil }

// FuzzFrames plays whatever frames to a server that echoes. It must end, and
// say nothing but whole frames that a client understands.
func FuzzFrames(f *testing.F) {
	seed := func(do func(p *peer)) {
		var b bytes.Buffer
		p := &peer{Framer: xhttp2.NewFramer(&b, nil)}
		p.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.block)
		p.WriteSettings()
		do(p)
		f.Add(b.Bytes())
	}
	seed(func(p *peer) { p.open(1, true, get) })
	seed(func(p *peer) {
		p.open(1, false, with(post, "content-length", "10", "te", "trailers", "cookie", "a", "cookie", "b"))
		p.open(3, true, get)
		p.WriteDataPadded(1, false, []byte("12345"), make([]byte, 3))
		p.WriteWindowUpdate(1, 100)
		p.WriteData(1, false, []byte("67890"))
		p.open(1, true, []string{"sum", "1"})
		p.WritePing(false, [8]byte{1})
		p.WriteGoAway(0, 0, nil)
	})
	seed(func(p *peer) {
		p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1},
			xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
		p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 5, BlockFragment: p.encode(get), PadLength: 4,
			Priority: xhttp2.PriorityParam{StreamDep: 3, Weight: 1}})
		p.WriteContinuation(5, true, p.encode([]string{"a", "b"}))
		p.WriteRSTStream(5, 8)
		p.WritePriority(7, xhttp2.PriorityParam{StreamDep: 3})
		p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &tape{in: bytes.NewReader(append([]byte(http2.Preface), b...))}
		http2.New(c, http2.Settings{Now: func() int64 { return 1 }}, echo).Serve(t.Context())
		fr := xhttp2.NewFramer(nil, &c.out)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		fr.SetMaxReadFrameSize(1 << 20)
		for {
			if _, err := fr.ReadFrame(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%x: answer: %v", b, err)
			}
		}
	})
}
