package proxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
)

// body is a step that has bodies taken so.
func takes(b middleware.Body) does {
	return func(_ context.Context, r *middleware.Request) *middleware.Answer {
		r.Body = b
		return nil
	}
}

// TestBodyMost shows that a body beyond a route's bound is refused, whether or
// not its length is announced.
func TestBodyMost(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for _, whole := range []bool{false, true} {
			v := w.visit(t, proxy.Options{}, w.endpoint(t, tell)).through(takes(middleware.Body{Most: 50000, Whole: whole}))
			for size, want := range map[int]int{0: 200, 100: 200, 50000: 200, 50001: 413, 300000: 413} {
				for _, streams := range []bool{false, true} {
					var body io.Reader = strings.NewReader(strings.Repeat("x", size))
					if streams {
						body = hideLength(body)
					}
					if resp, got := v.do(v.request("POST", "/", body)); resp.StatusCode != want || want == 200 && !strings.HasSuffix(got, "\n"+strings.Repeat("x", size)) {
						t.Errorf("%d bytes, streams %v, whole %v: got %v", size, streams, whole, resp)
					}
				}
			}
		}
	})
}

// TestBodyWhole shows that an endpoint gets nothing of a body before it is
// here, that it is the same body, and that it has a length then.
func TestBodyWhole(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		var asked atomic.Bool
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			asked.Store(true)
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(rw, "%d %x", r.ContentLength, sha256.Sum256(b))
		})).through(takes(middleware.Body{Whole: true}))
		for _, size := range []int{1, 30000, 100000, 1 << 20, 1<<20 + 1, 5<<20 + 3} {
			for _, streams := range []bool{false, true} {
				sent := noise(3, size)
				out, in := io.Pipe()
				r := v.request("POST", "/", out)
				if !streams {
					r.ContentLength = int64(size)
				}
				asked.Store(false)
				go func() {
					in.Write(sent[:size-1])
					time.Sleep(10 * time.Millisecond)
					if asked.Load() {
						t.Error("the endpoint was asked before the body was here")
					}
					in.Write(sent[size-1:])
					in.Close()
				}()
				if resp, got := v.do(r); got != fmt.Sprintf("%d %x", size, sha256.Sum256(sent)) {
					t.Fatalf("%d bytes, streams %v: got %v %q", size, streams, resp, got)
				}
			}
		}
		v.settle(t)
		if left, _ := os.ReadDir(os.TempDir()); strings.Contains(fmt.Sprint(left), "portico-body-") {
			t.Errorf("files are left: %v", left)
		}
	})
}

// TestBodyWholeGoesAgain shows that a body that is here can be sent to another
// endpoint, though its method would not allow it while it streams.
func TestBodyWholeGoesAgain(t *testing.T) {
	for _, size := range []int{100000, 3 << 20} {
		var died atomic.Int32
		dies := script(t, func(c net.Conn, r *bufio.Reader) {
			died.Add(1)
			c.(*net.TCPConn).SetLinger(0)
			r.ReadString('\n')
		})
		w := way{"HTTP/1.1", "HTTP/1.1"}
		v := w.visit(t, proxy.Options{}, dies, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(rw, n)
		})).through(takes(middleware.Body{Whole: true}))
		for range 4 {
			if resp, got := v.do(v.request("PUT", "/", hideLength(strings.NewReader(strings.Repeat("x", size))))); got != fmt.Sprint(size) {
				t.Fatalf("got %v %q", resp, got)
			}
		}
		if died.Load() == 0 {
			t.Error("nobody died")
		}
		v.settle(t)
	}
}

// TestBodyWholeExpect shows that a client that waits for it is told to go on.
func TestBodyWholeExpect(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, handler(t, tell))
	(&visitor{edge: e, t: t}).through(takes(middleware.Body{Whole: true}))
	p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	if line, _ := p.Reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	p.Reader.ReadString('\n')
	_, body := p.say("5\r\nhello\r\n0\r\nTrailing: x\r\n\r\n" + getRoot).hear("POST")
	if !strings.Contains(body, "Content-Length: 5\n") || !strings.HasSuffix(body, "\n\nhello") || strings.Contains(body, "Expect") {
		t.Errorf("the endpoint got %q", body)
	}
	if resp, _ := p.hear("GET"); resp.StatusCode != 200 {
		t.Errorf("then %v", resp)
	}
}
