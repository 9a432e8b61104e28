package http2_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-lb/portico/l7/http2"
)

// BenchmarkRequest is a request as a browser repeats it and a response of 100
// bytes, one at a time and many at once, beside net/http's server. The client
// sends bytes made before and allocates nothing.
func BenchmarkRequest(b *testing.B) {
	for _, bb := range []struct {
		name   string
		listen func(testing.TB) string
		at     int
	}{
		{"one", serveTiny, 1},
		{"many", serveTiny, 50},
		{"nethttp-one", serveNetHTTP, 1},
		{"nethttp-many", serveNetHTTP, 50},
	} {
		b.Run(bb.name, func(b *testing.B) { requests(b, bb.listen(b), bb.at) })
	}
}

var (
	tinyBody   = bytes.Repeat([]byte("0123456789"), 10)
	tinyFields = []http2.Field{
		{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")},
		{Name: []byte("Content-Length"), Value: []byte("100")},
		{Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 08:00:00 GMT")},
	}
)

func serveTiny(t testing.TB) string {
	return listen(t, http2.Settings{}, nil, func(s *http2.Stream) {
		s.WriteHead(200, tinyFields, false)
		s.WriteLast(tinyBody)
	})
}

func serveNetHTTP(t testing.TB) string {
	return listenNetHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
		h["Content-Length"] = []string{"100"}
		h["Date"] = []string{"Sat, 21 Nov 2026 08:00:00 GMT"}
		w.Write(tinyBody)
	}))
}

func listenNetHTTP(t testing.TB, handler http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Frames of a megabyte, as it takes otherwise, are nothing that browsers
	// or a TLS record would send.
	s := &http.Server{Handler: handler, Protocols: unencrypted(), HTTP2: &http.HTTP2Config{MaxReadFrameSize: 16 << 10}}
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-over
	})
	return l.Addr().String()
}

// requests sends b.N requests over one connection, at many at once.
func requests(b *testing.B, addr string, at int) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, http2.Preface)
	xhttp2.NewFramer(nc, nil).WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 16384})
	xhttp2.NewFramer(nc, nil).WriteWindowUpdate(0, 1<<30)

	block, enc := new(bytes.Buffer), (*hpack.Encoder)(nil)
	enc = hpack.NewEncoder(block)
	head := func() []byte {
		block.Reset()
		for _, f := range [][2]string{
			{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/index.html?q=1"},
			{"user-agent", "bench/1.0"}, {"accept", "text/html,application/xhtml+xml"},
			{"accept-encoding", "gzip, br"}, {"cookie", "a=b"}, {"cookie", "c=d"},
		} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: f[0] == ":path"})
		}
		return block.Bytes()
	}
	var out bytes.Buffer
	fr := xhttp2.NewFramer(&out, nil)
	in := make([]byte, 64<<10)
	id, held := uint32(1), 0
	round := func(n int) {
		out.Reset()
		for range n {
			fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: head(), EndStream: true, EndHeaders: true})
			id += 2
		}
		if _, err := nc.Write(out.Bytes()); err != nil {
			b.Fatal(err)
		}
		for ended := 0; ended < n; {
			m, err := nc.Read(in[held:])
			if err != nil {
				b.Fatal(err)
			}
			held += m
			p := in[:held]
			for len(p) >= 9 {
				length := int(binary.BigEndian.Uint32(p) >> 8)
				if len(p) < 9+length {
					break
				}
				if p[3] <= 1 && p[4]&1 != 0 {
					ended++
				}
				p = p[9+length:]
			}
			held = copy(in, p)
		}
		if id&0xfff < uint32(2*n) {
			xhttp2.NewFramer(nc, nil).WriteWindowUpdate(0, 1<<20)
		}
	}
	for range 20 {
		round(at)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%at == 0 {
			round(at)
		}
	}
}

// BenchmarkBody is a response of 1 MiB, and a request of that size, by
// net/http's client.
func BenchmarkBody(b *testing.B) {
	big := make([]byte, 1<<20)
	ours := func(s *http2.Stream) {
		if s.HasBody {
			piece := make([]byte, 32<<10)
			for {
				if _, err := s.Read(piece); err != nil {
					break
				}
			}
			s.WriteHead(200, nil, true)
			return
		}
		s.WriteHead(200, nil, false)
		for p := big; len(p) > 0; p = p[32<<10:] {
			s.Write(p[:32<<10])
		}
		s.WriteEnd(nil)
	}
	theirs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			io.CopyBuffer(io.Discard, struct{ io.Reader }{r.Body}, make([]byte, 32<<10))
			return
		}
		for p := big; len(p) > 0; p = p[32<<10:] {
			w.Write(p[:32<<10])
		}
	})
	for _, bb := range []struct{ name, method, addr string }{
		{"down", "GET", listen(b, http2.Settings{}, nil, ours)},
		{"nethttp-down", "GET", listenNetHTTP(b, theirs)},
		{"up", "POST", listen(b, http2.Settings{}, nil, ours)},
		{"nethttp-up", "POST", listenNetHTTP(b, theirs)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			tr := transport(b, bb.addr)
			piece := make([]byte, 64<<10)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				var body io.Reader
				if bb.method == "POST" {
					body = bytes.NewReader(big)
				}
				req, _ := http.NewRequest(bb.method, "http://example.com/", body)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, piece)
				resp.Body.Close()
			}
		})
	}
}
