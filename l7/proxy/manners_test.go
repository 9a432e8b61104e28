package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
)

// TestDate shows that a response without a Date gets one, and that one with it
// keeps it.
func TestDate(t *testing.T) {
	for _, front := range fronts {
		t.Run(front, func(t *testing.T) {
			w := way{front, "HTTP/1.1"}
			v := w.visit(t, proxy.Options{}, script(t, func(c net.Conn, r *bufio.Reader) {
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					date := map[string]string{"/dated": "Date: then\r\n", "/hop": "Date: then\r\nConnection: date\r\n"}[req.URL.Path]
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", date)
				}
			}))
			for path, want := range map[string]string{"/": "", "/dated": "then", "/hop": ""} {
				resp, _ := v.do(v.request("GET", path, nil))
				got := resp.Header["Date"]
				if len(got) != 1 || want != "" && got[0] != want {
					t.Fatalf("%s: got %q", path, got)
				}
				if at, err := http.ParseTime(got[0]); want == "" && (err != nil || time.Since(at) > 5*time.Second) {
					t.Errorf("%s: got %q", path, got)
				}
			}
		})
	}
}

// TestUploadKeepsConnection shows that a connection goes on behind a body that
// was carried while it came.
func TestUploadKeepsConnection(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, handler(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	p := e.dial(t)
	chunk := strings.Repeat("x", 1000)
	for i := range 200 {
		size := 40_000 + i*1000
		var resp *http.Response
		if i%2 == 0 {
			resp, _ = p.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat(chunk, size/1000))).hear("POST")
		} else {
			p.say("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
			resp, _ = p.say(strings.Repeat("3e8\r\n"+chunk+"\r\n", size/1000) + "0\r\n\r\n").hear("POST")
		}
		if resp.StatusCode != 200 || resp.Close {
			t.Fatalf("request %d of %d bytes: got %v", i, size, resp)
		}
	}
}

// TestMuteEndpoint shows what a client is told whose request cannot be sent
// again.
func TestMuteEndpoint(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, script(t, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r) }))
	_, body := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n").hear("POST")
	if body != "502 Bad Gateway: the endpoint ended the connection without an answer\n" {
		t.Errorf("got %q", body)
	}
}

// TestInterimNobodyReads shows that a client that reads no interim response is
// cut, and that no endpoint is blamed.
func TestInterimNobodyReads(t *testing.T) {
	for _, w := range []way{{"HTTP/1.1", "HTTP/1.1"}, {"HTTP/1.1", "HTTP/2"}} {
		t.Run(w.back, func(t *testing.T) {
			gone := make(chan bool, 10)
			o := with(func(p *backend.Policy) { p.Ejection.Failures = 1 })
			o.Timeouts.Stall = time.Second / 4
			v := w.visit(t, o, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Link", strings.Repeat("x", 8000))
				for r.Context().Err() == nil {
					rw.WriteHeader(103)
				}
				gone <- true
			}))
			p := v.dial(t)
			p.Conn.(*net.TCPConn).SetReadBuffer(4096)
			p.say(getRoot)
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Fatal("goes on")
			}
			v.settle(t)
			for _, ep := range v.Status().Backends[0].Endpoints {
				if ep.Ejected != nil || ep.InFlight != 0 {
					t.Errorf("the endpoint is blamed: %+v", ep)
				}
			}
		})
	}
}
