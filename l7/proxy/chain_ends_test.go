package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// outcomes is a step that tells how requests end.
func outcomes(to chan<- middleware.Outcome) does {
	return func(_ context.Context, r *middleware.Request) *middleware.Answer {
		r.OnDone(func(o middleware.Outcome) { to <- o })
		return nil
	}
}

// TestChainIsToldOfEveryEnd shows that the end is told once, whatever it is.
func TestChainIsToldOfEveryEnd(t *testing.T) {
	done := make(chan middleware.Outcome, 10)
	hangs := make(chan bool)
	t.Cleanup(func() { close(hangs) })
	for _, tc := range []struct {
		name string
		ep   func(net.Conn, *bufio.Reader)
		talk func(*edge)
		want middleware.Outcome // but for the durations
	}{
		{"the endpoint dies", func(c net.Conn, r *bufio.Reader) { r.ReadString('\n') },
			func(e *edge) {
				e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n").hear("POST")
			},
			middleware.Outcome{Status: 502, Failed: true, Forwarded: true}},
		{"the endpoint says nonsense", func(c net.Conn, r *bufio.Reader) { r.ReadString('\n'); io.WriteString(c, "what?\r\n\r\n") },
			func(e *edge) { e.dial(t).say(getRoot).hear("GET") },
			middleware.Outcome{Status: 502, Failed: true, Forwarded: true}},
		{"the client leaves", func(c net.Conn, r *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
			for {
				if _, err := c.Write(make([]byte, 100000)); err != nil {
					return
				}
			}
		}, func(e *edge) {
			p := e.dial(t).say(getRoot)
			p.Reader.ReadString('\n')
			p.Conn.Close()
		}, middleware.Outcome{Status: 200, Forwarded: true}},
		{"the endpoint is silent", func(c net.Conn, r *bufio.Reader) { <-hangs },
			func(e *edge) { e.dial(t).say(getRoot).hear("GET") },
			middleware.Outcome{Status: 504, Failed: true, Forwarded: true}},
		{"the body does not come", func(c net.Conn, r *bufio.Reader) { <-hangs },
			func(e *edge) {
				e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\n").hear("POST")
			},
			middleware.Outcome{Status: 408, Forwarded: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, proxy.Options{Policy: waits(time.Second, time.Second/4), Timeouts: proxy.Timeouts{Stall: time.Second / 4}}, proxy.Entrypoint{}, script(t, tc.ep))
			v := &visitor{edge: e, t: t}
			v.through(outcomes(done))
			tc.talk(e)
			select {
			case got := <-done:
				if got.Duration <= 0 {
					t.Errorf("no duration: %+v", got)
				}
				got.Duration, got.Endpoint = 0, 0
				if got != tc.want {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("nobody was told")
			}
			e.stop()
			e.wait(t)
			if len(done) > 0 {
				t.Error("told twice")
			}
		})
	}
}

// TestChainFault shows that a middleware that panics ends its request alone, and
// that those before it are told.
func TestChainFault(t *testing.T) {
	for _, w := range []way{{"HTTP/1.1", "HTTP/1.1"}, {"HTTP/2", "HTTP/1.1"}} {
		t.Run(w.front, func(t *testing.T) {
			done := make(chan middleware.Outcome, 10)
			v := w.visit(t, proxy.Options{}, w.endpoint(t, tell)).through(outcomes(done),
				does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
					if r.Path == "/fault" {
						panic("a fault of the test")
					}
					return nil
				}))
			if resp, err := v.Client.Do(v.request("GET", "/fault", nil)); err == nil {
				t.Errorf("got %v", resp)
				resp.Body.Close()
			}
			if o := <-done; o.Status != 0 || o.Forwarded {
				t.Errorf("outcome %+v", o)
			}
			if resp, _ := v.do(v.request("GET", "/", nil)); resp.StatusCode != 200 {
				t.Errorf("then %v", resp)
			}
			if o := <-done; o.Status != 200 || len(done) != 0 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// TestChainWebsocket shows that a tunnel passes middlewares, also those that
// change bodies, and that its end is the end of the request.
func TestChainWebsocket(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Passed") == "" {
			t.Error("the middleware was passed by")
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		kind, b, err := c.Read(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		c.Write(r.Context(), kind, b)
		c.Close(websocket.StatusNormalClosure, "")
	})
	done := make(chan middleware.Outcome, 1)
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	v := &visitor{edge: e, t: t}
	v.through(outcomes(done), changes{func(_ context.Context, r *middleware.Request) *middleware.Answer {
		if !r.Upgrade {
			t.Error("sees no wish for another protocol")
		}
		r.Header.Set("X-Passed", "1")
		r.OnResponse(func(w *middleware.Response) { t.Errorf("sees the switch of protocols: %+v", w) })
		return nil
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+e.addr, &websocket.DialOptions{HTTPClient: client(t, nil), Host: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if len(done) != 0 {
		t.Error("ended already")
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	c.Close(websocket.StatusNormalClosure, "")
	if o := <-done; o.Status != 101 || !o.Forwarded {
		t.Errorf("outcome %+v", o)
	}
}

// TestChainGRPC shows that clients of gRPC are told of an answer in their way.
func TestChainGRPC(t *testing.T) {
	addr, _, _ := callees(t)
	e, calls := caller(t, false, proxy.Options{}, addr)
	v := &visitor{edge: e, t: t}
	v.through(does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
		if !r.GRPC {
			t.Error("is not seen to be a call")
		}
		if r.Header.Has("allowed") {
			return nil
		}
		return &middleware.Answer{Status: 429, Reason: "100 % of the requests are used up", Header: middleware.Header{{Name: "Retry-After", Value: "7"}}}
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := calls.EmptyCall(ctx, &pb.Empty{})
	if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "100 % of the requests are used up" {
		t.Errorf("got %v", err)
	}
}

// TestChainLastsOverChanges shows that a middleware goes on, with its state,
// while its step stays, and that a new one begins where it changes.
func TestChainLastsOverChanges(t *testing.T) {
	made := 0
	w := way{"HTTP/1.1", "HTTP/1.1"}
	v := w.visit(t, proxy.Options{}, w.endpoint(t, tell))
	set := func(host string, steps ...route.Step) {
		table, _ := route.NewTable([]route.Spec{
			{Host: "example.com", Path: "/", Backend: web, Steps: steps},
			{Host: host, Path: "/"},
		})
		v.SetRoutes(table)
	}
	for i, tc := range []struct {
		host  string
		steps []route.Step
		made  int
		count string
	}{
		{"a", []route.Step{counts{"x", &made}}, 1, "1"},
		{"b", []route.Step{counts{"x", &made}}, 1, "2"},
		{"c", []route.Step{counts{"y", &made}, counts{"x", &made}}, 2, "1,3"},
		{"d", []route.Step{counts{"z", &made}}, 3, "1"},
		{"d", nil, 3, ""},
	} {
		set(tc.host, tc.steps...)
		_, body := v.do(v.request("GET", "/", nil))
		got := ""
		for line := range strings.Lines(body) {
			if rest, ok := strings.CutPrefix(line, "Count: "); ok {
				got = strings.ReplaceAll(strings.TrimSpace(rest), "|", ",")
			}
		}
		if made != tc.made || got != tc.count {
			t.Errorf("%d: %d made, want %d; counts are %s, want %s", i, made, tc.made, got, tc.count)
		}
	}
}

// counts is a step whose middleware counts requests.
type counts struct {
	name string
	made *int
}

func (counts) Kind() string { return "counts" }

func (c counts) New(middleware.Env) middleware.Middleware {
	*c.made++
	return &counting{}
}

type counting struct{ n int }

func (c *counting) Handle(_ context.Context, r *middleware.Request) *middleware.Answer {
	c.n++
	r.Header.Add("Count", string(rune('0'+c.n)))
	return nil
}

// TestChainAnswerKeepsConnection shows that a small body is read behind an
// answer that did not wait for it, so that the connection can go on.
func TestChainAnswerKeepsConnection(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, handler(t, tell))
	(&visitor{edge: e, t: t}).through(does(func(context.Context, *middleware.Request) *middleware.Answer {
		return &middleware.Answer{Status: 401}
	}))
	p := e.dial(t)
	for range 3 {
		p.say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9000\r\n\r\n")
		if resp, _ := p.say(strings.Repeat("x", 9000)).hear("POST"); resp.StatusCode != 401 || resp.Close {
			t.Fatalf("got %v", resp)
		}
	}
	resp, _ := p.say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 90000\r\n\r\n").hear("POST")
	if resp.StatusCode != 401 || !resp.Close {
		t.Errorf("got %v", resp)
	}
}
