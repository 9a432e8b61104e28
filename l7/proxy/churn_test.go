package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// TestRoundRobin also shows that a new list of endpoints changes nothing for
// those that stay.
func TestRoundRobin(t *testing.T) {
	name := func(n string) string {
		return handler(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, n) })
	}
	a, b, c := name("a"), name("b"), name("c")
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, a, b)
	cl := client(t, nil)
	spread := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			_, body := e.get(t, cl, "/")
			got[body]++
		}
		return got
	}
	if got := spread(10); got["a"] != 5 || got["b"] != 5 {
		t.Errorf("spread %v", got)
	}
	e.SetEndpoints(endpoints(c, b, b))
	if got := spread(10); got["b"] != 5 || got["c"] != 5 {
		t.Errorf("spread %v", got)
	}
	s := e.Status().Backends[0]
	if len(s.Endpoints) != 2 || s.Endpoints[1].Requests != 10 || s.Endpoints[1].Idle != 1 {
		t.Errorf("%+v", s)
	}
	e.SetEndpoints(nil)
	if r, _ := e.get(t, cl, "/"); r.StatusCode != 503 {
		t.Errorf("without endpoints: %v", r)
	}
}

// TestRemoval shows that an idle connection to an endpoint that leaves is
// closed at once, and that what is in flight finishes.
func TestRemoval(t *testing.T) {
	begun, release, closed := make(chan bool, 1), make(chan bool), make(chan bool, 2)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				closed <- true
				return
			}
			if req.URL.Path == "/wait" {
				begun <- true
				<-release
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	busy, idle := e.dial(t), e.dial(t)
	busy.say("GET /wait HTTP/1.1\r\nHost: example.com\r\n\r\n")
	<-begun
	idle.say(getRoot).hear("GET")
	e.SetEndpoints(endpoints())
	<-closed
	if r, _ := idle.say(getRoot).hear("GET"); r.StatusCode != 503 {
		t.Errorf("got %v", r)
	}
	close(release)
	if _, body := busy.hear("GET"); body != "ok" {
		t.Errorf("got %q", body)
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection was kept after its request")
	}
}

func readWhole(_ net.Conn, r *bufio.Reader) {
	if q, err := http.ReadRequest(r); err == nil {
		io.ReadAll(q.Body)
	}
}

// TestRetry shows what is sent again, and what is not.
func TestRetry(t *testing.T) {
	good := heads(t)
	for _, tc := range []struct {
		name, request string
		die           func(net.Conn, *bufio.Reader) // what the first endpoint does
		want          int
	}{
		{"GET, read and closed", getRoot, readWhole, 200},
		{"GET, reset", getRoot, func(c net.Conn, r *bufio.Reader) { c.(*net.TCPConn).SetLinger(0) }, 200},
		{"PUT with its body, read and closed", "PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc",
			readWhole, 200},
		{"POST, read and closed", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc",
			readWhole, 502},
		{"POST without body, read and closed", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n",
			readWhole, 502},
		{"GET, half an answer", getRoot, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r); io.WriteString(c, "HTTP/1.1 2") }, 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := script(t, tc.die)
			e := start(t, proxy.Options{}, proxy.Entrypoint{}, bad, good)
			p := e.dial(t)
			for range 2 { // one of them meets the bad one
				if r, _ := p.say(tc.request).hear("GET"); r.StatusCode != 200 && r.StatusCode != tc.want {
					t.Errorf("got %v", r)
				}
			}
			s := e.Status()
			if failed := s.Responses.ServerError > 0; failed != (tc.want == 502) {
				t.Errorf("status %+v", s)
			}
			if s.Retries == 0 && tc.want == 200 {
				t.Error("no retry")
			}
		})
	}
}

// TestUnsolicited shows that what an endpoint says between requests answers
// none.
func TestUnsolicited(t *testing.T) {
	said := make(chan bool)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-said
		io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\nno")
		said <- true
		http.ReadRequest(r)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t)
	for range 5 {
		if r, body := p.say(getRoot).hear("GET"); r.StatusCode != 200 || body != "ok" {
			t.Fatalf("got %v %q", r, body)
		}
		said <- true
		<-said
	}
}

// TestKeepAliveRace puts endpoints behind the proxy that close kept
// connections at the worst moment: just when the next request comes. No
// idempotent request fails. A POST that nobody can say of whether it was
// executed does, and none is executed twice.
func TestKeepAliveRace(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	var mu sync.Mutex
	posts := map[string]int{}
	nervous := func() string {
		return script(t, func(c net.Conn, r *bufio.Reader) {
			for range 1 + rand.IntN(3) {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				b, err := io.ReadAll(req.Body)
				if err != nil {
					return
				}
				if req.Method == "POST" {
					mu.Lock()
					posts[string(b)]++
					mu.Unlock()
				}
				c.Write(answer)
			}
			for range rand.IntN(3000) {
				_ = time.Now()
			}
		})
	}
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, nervous(), nervous())
	var group sync.WaitGroup
	var lost atomic.Int64
	for i := range 8 {
		group.Go(func() {
			p := e.dial(t)
			for j := range 500 {
				method, id := "PUT", fmt.Sprintf("%02d-%04d", i, j)
				if j%4 == 0 {
					method = "POST"
				}
				fmt.Fprintf(p.Conn, "%s / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", method, len(id), id)
				r, err := http.ReadResponse(p.Reader, nil)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(r.Body)
				switch {
				case err == nil && r.StatusCode == 200:
				case method == "POST" && r.StatusCode == 502:
					lost.Add(1)
				default:
					t.Errorf("%s: got %v %q %v", method, r.Status, b, err)
				}
			}
		})
	}
	group.Wait()
	for id, n := range posts {
		if n > 1 {
			t.Errorf("POST %s was executed %d times", id, n)
		}
	}
	s := e.Status()
	t.Logf("%d requests, %d retries, %d POSTs answered 502", s.Requests, s.Retries, lost.Load())
	if s.Retries == 0 {
		t.Error("the race never happened")
	}
}

// TestRollingUpdate replaces endpoints under load as a rollout does: a new one
// is listed, an old one is delisted, and some time later it stops.
func TestRollingUpdate(t *testing.T) {
	for name, change := range map[string]func(*backend.Policy){
		"default":        func(*backend.Policy) {},
		"least requests": func(p *backend.Policy) { p.Balance.Strategy = backend.LeastRequests },
		"hash":           func(p *backend.Policy) { p.Balance.Strategy = backend.Hash },
		"sticky":         func(p *backend.Policy) { p.Sticky.Cookie = "edge" },
		"slow start":     func(p *backend.Policy) { p.SlowStart = time.Minute },
		"queue":          func(p *backend.Policy) { p.Limit = backend.Limit{Requests: 1, Queue: 100, Wait: time.Minute} },
		"breaker":        func(p *backend.Policy) { p.Breaker = backend.Breaker{Share: 0.1, Requests: 1, Open: time.Minute} },
		"HTTP/2":         func(p *backend.Policy) { p.Protocol = route.H2C },
	} {
		t.Run(name, func(t *testing.T) {
			policy := backend.Default()
			change(&policy)
			rollingUpdate(t, policy)
		})
	}
}

func rollingUpdate(t *testing.T, policy backend.Policy) {
	var serial atomic.Int64
	pod := func() *httptest.Server {
		n := serial.Add(1)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d %d", n, len(b))
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(policy.Protocol != route.H2C)
		s.Config.Protocols.SetUnencryptedHTTP2(policy.Protocol == route.H2C)
		s.Start()
		return s
	}
	pods := []*httptest.Server{pod(), pod(), pod()}
	list := func() (out []string) {
		for _, p := range pods {
			out = append(out, p.Listener.Addr().String())
		}
		return out
	}
	e := start(t, proxy.Options{Policy: policy}, proxy.Entrypoint{}, list()...)
	var group sync.WaitGroup
	stop := make(chan bool)
	var requests atomic.Int64
	for i := range 8 {
		c := client(t, nil)
		c.Jar, _ = cookiejar.New(nil) // never fails
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := http.NewRequest("PUT", "http://"+e.addr, strings.NewReader(strings.Repeat("x", i*1000)))
				if err != nil {
					t.Error(err)
					return
				}
				r.Host = "example.com"
				resp, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
					t.Errorf("got %v %q %v", resp.Status, b, err)
				}
				resp.Body.Close()
				requests.Add(1)
			}
		})
	}
	for range 15 {
		had := requests.Load()
		old := pods[0]
		pods = append(pods[1:], pod())
		e.SetEndpoints(endpoints(list()...))
		for requests.Load() < had+20 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		old.Close() // finishes what is in flight
	}
	close(stop)
	group.Wait()
	for _, p := range pods {
		p.Close()
	}
	t.Logf("%d requests, %+v", requests.Load(), e.Status())
}
