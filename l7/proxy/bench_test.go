package proxy_test

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// BenchmarkPlain is one plain request and its response over kept connections,
// the client's and the endpoint's share included, which allocate nothing.
func BenchmarkPlain(b *testing.B) {
	const response = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n" +
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	whole := []byte(response)
	ep := script(b, func(c net.Conn, r *bufio.Reader) {
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
	e := start(b, proxy.Options{}, proxy.Entrypoint{}, ep)
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := []byte("GET /index.html?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench/1.0\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, br\r\nCookie: a=b; c=d\r\n\r\n")
	answer := make([]byte, len(response))
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
