package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/proxyproto"
)

// TestBodyBound: what is longer than it may be is refused as soon as it is
// known, and no endpoint takes it for a whole request.
func TestBodyBound(t *testing.T) {
	const most = 40 << 10 // more than is gathered
	for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
		endpoint := way{back: name}
		ep := endpoint.endpoint(t, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err == nil && n > most {
				t.Errorf("an endpoint got %d bytes", n)
			}
			fmt.Fprint(w, n)
		})
		e := start(t, proxy.Options{Caps: proxy.Caps{Body: most}}, proxy.Entrypoint{H2C: true})
		e.SetEndpoints(endpoint.endpoints(ep))
		chunked := func(n int) string {
			var b strings.Builder
			for ; n > 0; n -= 1000 {
				fmt.Fprintf(&b, "3e8\r\n%s\r\n", strings.Repeat("x", 1000))
			}
			return b.String() + "0\r\n\r\n"
		}
		for _, tc := range []struct{ name, sent, status, body string }{
			{"as long as may be", "Content-Length: 40960\r\n\r\n" + strings.Repeat("x", most), "200", "40960"},
			{"a byte more", "Content-Length: 40961\r\n\r\n", "413", ""},
			{"expected", "Content-Length: 40961\r\nExpect: 100-continue\r\n\r\n", "413", ""},
			{"chunked", "Transfer-Encoding: chunked\r\n\r\n" + chunked(40000), "200", "40000"},
			{"chunked, too long", "Transfer-Encoding: chunked\r\n\r\n" + chunked(42000), "413", ""},
		} {
			p := e.dial(t)
			go io.WriteString(p.Conn, "POST / HTTP/1.1\r\nHost: example.com\r\n"+tc.sent)
			r, body := p.hear("POST")
			if !strings.HasPrefix(r.Status, tc.status) || tc.body != "" && body != tc.body || tc.status == "413" && !r.Close {
				t.Errorf("%s, %s: got %v %q", name, tc.name, r, body)
			}
		}
		c := http2Over(t, e.dial(t))
		for length, status := range map[int64]int{most: 200, most + 1: 413, -most: 200, -most - 1: 413} {
			r, _ := http.NewRequest("POST", "http://example.com/", io.LimitReader(endless{}, max(length, -length)))
			r.ContentLength = max(length, -1)
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != status {
				t.Errorf("%s, HTTP/2, %d bytes: got %v", name, length, resp)
			}
		}
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, strings.Repeat("x", len(b))), nil }

// TestLeastRate: a body that trickles dies though it never pauses; one that
// is answered meanwhile is a conversation.
func TestLeastRate(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		if r.URL.Path == "/talk" {
			w.WriteHeader(200)
			rc.Flush()
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	e := start(t, proxy.Options{
		Timeouts: proxy.Timeouts{Stall: 10 * short},
		Caps:     proxy.Caps{Rate: 1000, RateAfter: 2 * short},
	}, proxy.Entrypoint{}, ep)
	for _, tc := range []struct{ path, framing, piece, end, want string }{
		{"/", "Content-Length: 100000", "x", "", "HTTP/1.1 408 "},
		{"/", "Content-Length: 10000", "x", "", "HTTP/1.1 408 "},
		{"/", "Transfer-Encoding: chunked", "1\r\nx\r\n", "0\r\n\r\n", "HTTP/1.1 408 "},
		{"/", "Content-Length: 3000", strings.Repeat("x", 300), "", "HTTP/1.1 200 "},
		{"/talk", "Transfer-Encoding: chunked", "1\r\nx\r\n", "0\r\n\r\n", "HTTP/1.1 200 "},
	} {
		p := e.dial(t).say("POST " + tc.path + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n" + tc.framing + "\r\n\r\n")
		var talk sync.WaitGroup
		talk.Go(func() {
			tick := time.NewTicker(short / 2)
			defer tick.Stop()
			for range 20 {
				if _, err := io.WriteString(p.Conn, tc.piece); err != nil {
					return
				}
				<-tick.C
			}
			io.WriteString(p.Conn, tc.end)
		})
		begin := time.Now()
		if got := p.rest(); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%+v: got %q after %v", tc, got, time.Since(begin))
		}
		p.Conn.Close()
		talk.Wait()
	}
}

// TestSlowLargeUpload: a body that is long enough to be spliced, and comes more
// slowly than a part of a splice may take, goes through.
func TestSlowLargeUpload(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Stall: 4 * short}}, proxy.Entrypoint{}, ep)
	const pieces, size = 20, 16 << 10
	p := e.dial(t).say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n", pieces*size))
	tick := time.NewTicker(short)
	defer tick.Stop()
	for range pieces {
		p.say(strings.Repeat("x", size))
		<-tick.C
	}
	if r, body := p.hear("POST"); r.StatusCode != 200 || body != fmt.Sprint(pieces*size) {
		t.Errorf("got %v %q", r, body)
	}
}

// TestRequestsBound: the last request of a connection is told so.
func TestRequestsBound(t *testing.T) {
	e := start(t, proxy.Options{Caps: proxy.Caps{Requests: 3}}, proxy.Entrypoint{H2C: true}, heads(t))
	p := e.dial(t)
	for i := range 3 {
		if r, _ := p.say(getRoot).hear("GET"); r.Close != (i == 2) {
			t.Errorf("request %d: got %v", i, r)
		}
	}
	if got := p.rest(); got != "" {
		t.Errorf("then got %q", got)
	}
	c := http2Over(t, e.dial(t))
	done := 0
	for range 100 {
		resp, err := c.Get("http://example.com/")
		if err != nil {
			break
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		done++
	}
	if done < 3 || done == 100 {
		t.Errorf("HTTP/2: %d requests", done)
	}
}

// closed reports whether the peer has ended the connection without a word.
func (p *peer) closed() bool {
	p.SetDeadline(time.Now().Add(short))
	_, err := p.ReadByte()
	timeout, ok := err.(net.Error)
	p.SetDeadline(time.Now().Add(10 * time.Second))
	return err != nil && (!ok || !timeout.Timeout())
}

func TestSourceBound(t *testing.T) {
	e := start(t, proxy.Options{Caps: proxy.Caps{PerSource: 2}}, proxy.Entrypoint{}, heads(t))
	first, second := e.dial(t), e.dial(t)
	first.say(getRoot).hear("GET")
	second.say(getRoot).hear("GET")
	if p := e.dial(t).say(getRoot); !p.closed() {
		t.Error("a third connection is served")
	}
	if s := e.Status(); s.Refused.Source != 1 {
		t.Errorf("got %+v", s)
	}
	first.Conn.Close()
	for begin := time.Now(); e.Status().Connections > 1 && time.Since(begin) < 5*time.Second; {
		second.say(getRoot).hear("GET")
	}
	e.dial(t).say(getRoot).hear("GET")

	// Behind a proxy that names them, clients count by their own address.
	e = start(t, proxy.Options{Caps: proxy.Caps{PerSource: 1}}, introduced(), heads(t))
	named := func(source string) *peer {
		return e.dial(t).say("PROXY TCP6 " + source + " ::1 1 80\r\n")
	}
	named("2001:db8::1").say(getRoot).hear("GET")
	named("2001:db8:0:1::1").say(getRoot).hear("GET")
	if !named("2001:db8::2").closed() {
		t.Error("a second connection of one network is served")
	}
	for range 3 { // the proxy's own
		e.dial(t).say(string(proxyproto.Append2(nil, proxyproto.Header{})) + getRoot).hear("GET")
	}
}

// TestConnectionsBound: who comes when all places are taken waits for one.
func TestConnectionsBound(t *testing.T) {
	caps := proxy.Caps{Connections: 2}
	e := start(t, proxy.Options{Caps: caps}, proxy.Entrypoint{}, heads(t))
	first, second := e.dial(t), e.dial(t)
	first.say(getRoot).hear("GET")
	second.say(getRoot).hear("GET")
	third := e.dial(t).say(getRoot)
	if third.closed() {
		t.Fatal("a third connection was closed")
	}
	if s := e.Status(); s.Connections != 2 {
		t.Errorf("got %+v", s)
	}
	first.Conn.Close()
	third.hear("GET")
	fourth := e.dial(t).say(getRoot)
	caps.Connections = 4
	e.SetBounds(proxy.Bounds{Caps: caps})
	fourth.hear("GET")
	for _, p := range []*peer{second, third} { // they were not touched
		p.say(getRoot).hear("GET")
	}
}

// TestSetBounds: connections that are open get the bounds of their next
// request, and are not closed for them.
func TestSetBounds(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, heads(t))
	long := "GET / HTTP/1.1\r\nHost: example.com\r\nA: " + strings.Repeat("a", 10<<10) + "\r\n\r\n"
	p := e.dial(t)
	p.say(long).hear("GET")
	e.SetBounds(proxy.Bounds{Head: http1.Limits{Head: 8 << 10, Line: 4 << 10, Fields: 10}, Timeouts: proxy.Timeouts{Idle: short}})
	p.say(getRoot).hear("GET") // it waited for this one before
	go io.WriteString(p.Conn, long)
	if got := p.rest(); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("got %q", got)
	}
	p = e.dial(t)
	p.say(getRoot).hear("GET")
	begin := time.Now()
	if got := p.rest(); got != "" || time.Since(begin) > 5*time.Second {
		t.Errorf("idle: got %q after %v", got, time.Since(begin))
	}
}
