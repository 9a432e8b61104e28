package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
)

// part is what writers of large bodies write at once.
var part = strings.Repeat("x", 400<<10)

// TestLingerSlowly shows that a client hears that its body is too large
// though it writes all of it first, megabytes and for more than a second.
func TestLingerSlowly(t *testing.T) {
	const parts = 10
	for _, front := range fronts {
		for _, length := range []int64{-1, int64(parts * len(part))} {
			t.Run(fmt.Sprint(front, " ", length), func(t *testing.T) {
				t.Parallel()
				w := way{front, "HTTP/1.1"}
				v := w.visit(t, proxy.Options{}, w.endpoint(t, tell)).through(takes(middleware.Body{Most: 50000}))
				out, in := io.Pipe()
				go func() {
					for range parts {
						time.Sleep(150 * time.Millisecond)
						if _, err := io.WriteString(in, part); err != nil {
							return // the client knows it already
						}
					}
					in.Close()
				}()
				r := v.request("POST", "/", out)
				r.ContentLength = length
				if resp, _ := v.do(r); resp.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("got %v", resp)
				}
			})
		}
	}
}

// refused is a client that was told that its body is too large, and goes on.
func refused(t *testing.T, secure bool) (*edge, net.Conn) {
	t.Helper()
	var entry proxy.Entrypoint
	server, config := certificate(t)
	if secure {
		entry.TLS = server
	}
	e := start(t, proxy.Options{}, entry, handler(t, tell))
	(&visitor{edge: e, t: t}).through(takes(middleware.Body{Most: 50000}))
	p := e.dial(t)
	if secure {
		c := tls.Client(p.Conn, config)
		p = &peer{c, bufio.NewReader(c), t}
	}
	p.say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000000\r\n\r\n" + part)
	if resp, _ := p.hear("POST"); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %v", resp)
	}
	return e, p.Conn
}

// TestLingerEnds shows for how long a client is listened to that only sends:
// for some seconds, or until it pauses, or until the process ends.
func TestLingerEnds(t *testing.T) {
	for _, c := range []struct {
		name        string
		goesOn      bool
		stops       bool
		least, most time.Duration
	}{
		{"sends", true, false, 4 * time.Second, 9 * time.Second},
		{"pauses", false, false, 900 * time.Millisecond, 4 * time.Second},
		{"process ends", true, true, 0, 4 * time.Second},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " ", secure), func(t *testing.T) {
				t.Parallel()
				e, nc := refused(t, secure)
				start := time.Now()
				if c.stops {
					e.stop()
				}
				go func() {
					for c.goesOn {
						if _, err := io.WriteString(nc, part[:1<<10]); err != nil {
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
				}()
				for e.Status().Connections > 0 && time.Since(start) < c.most {
					time.Sleep(10 * time.Millisecond)
				}
				if d := time.Since(start); d < c.least || d >= c.most {
					t.Errorf("closed after %v", d)
				}
			})
		}
	}
}

// TestFarewell shows that the end of a connection of HTTP/2 is one in order:
// nothing that crosses it turns the end into a reset.
func TestFarewell(t *testing.T) {
	for _, front := range []string{"HTTP/2", "HTTP/2 TLS"} {
		t.Run(front, func(t *testing.T) {
			w := way{front, "HTTP/1.1"}
			v := w.visit(t, proxy.Options{Drain: 10 * time.Second}, w.endpoint(t, tell))
			nc := v.dial(t).Conn
			if v.entry.TLS != nil {
				config := v.Transport.(*http.Transport).TLSClientConfig.Clone()
				config.NextProtos = []string{"h2"}
				nc = tls.Client(nc, config)
			}
			io.WriteString(nc, http2.ClientPreface)
			f := http2.NewFramer(nc, nc)
			f.WriteSettings()
			f.WritePing(false, [8]byte{})
			for sent := 0; ; {
				frame, err := f.ReadFrame()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("in place of the end: %v", err)
				}
				switch frame := frame.(type) {
				case *http2.PingFrame:
					if frame.IsAck() {
						v.stop()
						break
					}
					f.WritePing(true, frame.Data)
				case *http2.GoAwayFrame:
					for last := frame.LastStreamID == 0; last && sent < 200; sent++ {
						if err := f.WriteData(1, true, make([]byte, 1<<14)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			nc.Close()
		})
	}
}
