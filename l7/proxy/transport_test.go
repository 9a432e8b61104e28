package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// ask has an endpoint of web answer.
func (e *edge) ask(t *testing.T, method, path string, body io.Reader) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.Transport(web).RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// TestTransport asks endpoints of every kind, whose connections are kept.
func TestTransport(t *testing.T) {
	for _, back := range backs {
		t.Run(back, func(t *testing.T) {
			w := way{"HTTP/1.1", back}
			var from atomic.Pointer[string]
			v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
				if was := from.Swap(&r.RemoteAddr); was != nil && *was != r.RemoteAddr {
					t.Errorf("comes by another connection: %s", r.RemoteAddr)
				}
				tell(rw, r)
			}))
			for range 3 {
				resp, body, err := v.ask(t, "GET", "/a?b=c", nil)
				if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(body, "GET /a?b=c web.default\n") {
					t.Fatalf("got %v %q, %v", resp, body, err)
				}
			}
			from.Store(nil) // a body that cannot go again goes over a new one
			if resp, body, err := v.ask(t, "POST", "/", strings.NewReader("hello")); err != nil || !strings.HasSuffix(body, "\n\nhello") {
				t.Errorf("got %v %q, %v", resp, body, err)
			}
			v.settle(t)
		})
	}
}

// TestTransportFails shows what happens when endpoints do not answer.
func TestTransportFails(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{})
	if _, _, err := e.ask(t, "GET", "/", nil); err == nil || !strings.Contains(err.Error(), "default/web:80: no endpoint") {
		t.Errorf("got %v", err)
	}
	if _, err := e.Transport(route.Backend{Service: "unknown"}).RoundTrip(&http.Request{}); err == nil {
		t.Error("a backend that is not known answers")
	}
	var died atomic.Int32
	dies := script(t, func(c net.Conn, r *bufio.Reader) {
		died.Add(1)
		r.ReadString('\n')
	})
	e.SetEndpoints(endpoints(dies, handler(t, tell)))
	for range 4 {
		if resp, _, err := e.ask(t, "GET", "/", nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	if died.Load() == 0 {
		t.Error("nobody died")
	}
	silent := make(chan bool)
	t.Cleanup(func() { close(silent) })
	e.SetEndpoints(endpoints(script(t, func(net.Conn, *bufio.Reader) { <-silent })))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", "/", nil)
	if resp, err := e.Transport(web).RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", resp, err)
	}
	e.settle(t)
}
