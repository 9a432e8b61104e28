package http2_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-lb/portico/l7/http2"
)

// A peer is a client that sends what the test says, right or wrong, and writes
// down what it gets, a line a frame.
type peer struct {
	*xhttp2.Framer
	t     testing.TB
	nc    net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
	lines chan string // closed with the connection
	seen  []string
}

// dial connects a peer that has said its preface.
func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, nc)
	p.hello()
	return p
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	p := mute(t, nc)
	t.Cleanup(func() { nc.Close() })
	go p.listen()
	return p
}

// mute returns a peer that does not read.
func mute(t testing.TB, nc net.Conn) *peer {
	p := &peer{t: t, nc: nc, Framer: xhttp2.NewFramer(nc, nc), lines: make(chan string, 1<<16)}
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// hello sends the preface.
func (p *peer) hello(settings ...xhttp2.Setting) {
	io.WriteString(p.nc, http2.Preface)
	p.WriteSettings(settings...)
}

func (p *peer) listen() {
	defer close(p.lines)
	dec := hpack.NewDecoder(4096, nil)
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return
		}
		h := f.Header()
		line := fmt.Sprintf("%s %d", h.Type, h.StreamID)
		switch f := f.(type) {
		case *xhttp2.HeadersFrame:
			fields, err := dec.DecodeFull(f.HeaderBlockFragment())
			for _, v := range fields {
				line += " " + v.Name + "=" + v.Value
			}
			if err != nil {
				line += " " + err.Error()
			}
		case *xhttp2.DataFrame:
			line += fmt.Sprintf(" %d", len(f.Data()))
		case *xhttp2.RSTStreamFrame:
			line += " " + f.ErrCode.String()
		case *xhttp2.GoAwayFrame:
			line += fmt.Sprintf(" %s last %d", f.ErrCode, f.LastStreamID)
		case *xhttp2.PingFrame:
			line += fmt.Sprintf(" %q", f.Data[:])
		case *xhttp2.WindowUpdateFrame:
			line += fmt.Sprintf(" %d", f.Increment)
		}
		if h.Type <= 1 && h.Flags&1 != 0 {
			line += " END"
		}
		if f, ok := f.(*xhttp2.PingFrame); ok && f.IsAck() {
			line += " ACK"
		}
		p.lines <- line
	}
}

// await returns the next line that starts with prefix; "" waits for the end.
func (p *peer) await(prefix string) string {
	p.t.Helper()
	over := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			switch {
			case !ok && prefix == "":
				return ""
			case !ok:
				p.t.Fatalf("connection ended before %q came; so far:\n%s", prefix, strings.Join(p.seen, "\n"))
			case prefix != "" && strings.HasPrefix(line, prefix):
				return line
			}
			p.seen = append(p.seen, line)
		case <-over:
			p.t.Fatalf("%q did not come; so far:\n%s", prefix, strings.Join(p.seen, "\n"))
		}
	}
}

// get are the fields of a plain request.
var get = []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "example.com"}

// post are those of one with a body.
var post = []string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "example.com"}

// with returns fields with others behind.
func with(fields []string, more ...string) []string {
	return append(append([]string(nil), fields...), more...)
}

// encode returns a header block.
func (p *peer) encode(fields []string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.block.Bytes()
}

// open sends a request head.
func (p *peer) open(id uint32, end bool, fields []string) {
	p.WriteHeaders(xhttp2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.encode(fields), EndHeaders: true, EndStream: end,
	})
}
