package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// plainResponse is what plainEndpoint answers.
var plainResponse = "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("0123456789", 10)

// plainEndpoint answers each head without an allocation.
func plainEndpoint(b *testing.B) string {
	whole := []byte(plainResponse)
	return script(b, func(c net.Conn, r *bufio.Reader) {
		for {
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					break
				}
			}
			if _, err := c.Write(whole); err != nil {
				return
			}
		}
	})
}

// BenchmarkPlain is one plain request and its response over kept connections,
// the client's and the endpoint's share included, which allocate nothing.
func BenchmarkPlain(b *testing.B) {
	benchmark(b, start(b, proxy.Options{}, proxy.Entrypoint{}, plainEndpoint(b)))
}

// benchmark sends one plain request after the other.
func benchmark(b *testing.B, e *edge) {
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := []byte("GET /index.html?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench/1.0\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, br\r\nCookie: a=b; c=d\r\n\r\n")
	answer := make([]byte, len(plainResponse))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHTTP2 is the same for a client of HTTP/2, one stream at a time. Its
// own share is one allocation.
func BenchmarkHTTP2(b *testing.B) {
	e := start(b, proxy.Options{}, proxy.Entrypoint{H2C: true}, plainEndpoint(b))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, bufio.NewReader(c))
	fr.SetReuseFrames()
	fr.WriteSettings()
	fr.WriteWindowUpdate(0, 1<<30)
	fr.WriteSettingsAck()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/index.html?q=1"},
		{"user-agent", "bench/1.0"}, {"accept", "text/html,application/xhtml+xml"}, {"accept-encoding", "gzip, br"}, {"cookie", "a=b; c=d"}}
	b.ReportAllocs()
	for id := uint32(1); b.Loop(); id += 2 {
		block.Reset()
		for _, f := range fields {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			if h := f.Header(); h.StreamID == id && h.Flags.Has(http2.FlagDataEndStream) {
				break
			}
		}
	}
}

// BenchmarkObserved is BenchmarkPlain with somebody who is told.
func BenchmarkObserved(b *testing.B) {
	e := start(b, proxy.Options{}, proxy.Entrypoint{}, plainEndpoint(b))
	e.Observe(&accesslog.Observer{Ended: func(*accesslog.Record) {}})
	benchmark(b, e)
}

// BenchmarkChain is BenchmarkPlain with a middleware that sees the request.
func BenchmarkChain(b *testing.B) {
	e := start(b, proxy.Options{}, proxy.Entrypoint{}, plainEndpoint(b))
	table, _ := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Backend: web, Steps: []route.Step{
		does(func(_ context.Context, r *middleware.Request) *middleware.Answer { return nil }),
	}}})
	e.SetRoutes(table)
	benchmark(b, e)
}
