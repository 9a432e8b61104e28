package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// named returns n endpoints that answer with their names: a, b, ...
func named(t testing.TB, n int) (addrs []string) {
	for i := range n {
		addrs = append(addrs, handler(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, string(rune('a'+i)))
		}))
	}
	return addrs
}

// with is the default policy after change.
func with(change func(*backend.Policy)) proxy.Options {
	p := backend.Default()
	change(&p)
	return proxy.Options{Policy: p}
}

// TestTLSEndpoint carries bodies of all sizes both ways to an endpoint that
// speaks TLS.
func TestTLSEndpoint(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	}))
	t.Cleanup(s.Close)
	e := start(t, with(func(p *backend.Policy) {
		p.Protocol = route.HTTPS
		p.TLS.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
		p.TLS.ServerName = "example.com"
	}), proxy.Entrypoint{}, s.Listener.Addr().String())
	c := client(t, nil)
	for _, size := range []int{1 << 20, 0, 100, 30 << 10} {
		body := bytes.Repeat([]byte("0123456789"), size/10)
		r, err := http.NewRequest("PUT", "http://"+e.addr, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "example.com"
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: got %d, %v", len(body), len(got), err)
		}
		resp.Body.Close()
	}
	e.settle(t)
	// One that streams its body does not reuse a connection, those behind it do.
	if s := e.Status().Backends[0].Endpoints[0]; s.Requests != 4 || s.Idle != 1 || s.Protocol != "https" {
		t.Errorf("%+v", s)
	}
}

// TestStickyCookie shows that clients keep their endpoints when others come,
// and that a client that has its cookie is not told it again.
func TestStickyCookie(t *testing.T) {
	addrs := named(t, 4)
	e := start(t, with(func(p *backend.Policy) {
		p.Sticky = backend.Sticky{Cookie: strings.Repeat("c", backend.CookieMost), MaxAge: 1e9 * time.Second, SameSite: "Strict"}
	}), proxy.Entrypoint{}, addrs[:2]...)
	p := e.dial(t)
	where := map[string]string{}
	for range 4 {
		r, body := p.say(getRoot).hear("GET")
		if len(r.Cookies()) != 1 || r.Cookies()[0].MaxAge != 1e9 {
			t.Fatalf("%v", r.Header)
		}
		where[r.Cookies()[0].Value] = body
	}
	if len(where) != 2 {
		t.Fatalf("cookies %v", where)
	}
	e.SetEndpoints(endpoints(addrs...))
	for range 3 {
		for value, want := range where {
			r, body := p.say("GET / HTTP/1.1\r\nHost: example.com\r\nCookie: a=b; " + strings.Repeat("c", backend.CookieMost) + "=" + value + ";d=e\r\n\r\n").hear("GET")
			if body != want || len(r.Cookies()) != 0 {
				t.Errorf("got %s and %v, want %s", body, r.Cookies(), want)
			}
		}
	}
}

// TestHashKeys shows what decides under the strategy Hash.
func TestHashKeys(t *testing.T) {
	addrs := named(t, 8)
	for _, tc := range []struct {
		key  backend.Key
		name string
		same string // a request with two places for a number, of which the second does not decide
	}{
		{backend.Source, "", "GET /%d?%d HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		{backend.URI, "", "GET /%d HTTP/1.1\r\nHost: example.com\r\nX: %d\r\n\r\n"},
		{backend.Header, "X-User", "GET / HTTP/1.1\r\nHost: example.com\r\nx-user: %d\r\nY: %d\r\n\r\n"},
		{backend.Cookie, "u", "GET / HTTP/1.1\r\nHost: example.com\r\nCookie: a=1; u=%d; b=%d\r\n\r\n"},
	} {
		e := start(t, with(func(p *backend.Policy) {
			p.Balance = backend.Balance{Strategy: backend.Hash, Key: tc.key, Name: tc.name}
		}), proxy.Entrypoint{}, addrs...)
		p := e.dial(t)
		all := map[string]bool{}
		for i := range 30 {
			here := map[string]bool{}
			for j := range 3 {
				_, body := p.say(fmt.Sprintf(tc.same, i, j)).hear("GET")
				here[body], all[body] = true, true
			}
			if len(here) != 1 {
				t.Errorf("key %d: one went to %v", tc.key, here)
			}
		}
		if spread := len(all) > 1; spread == (tc.key == backend.Source) {
			t.Errorf("key %d: all went to %v", tc.key, all)
		}
	}
}

// TestWhole shows that the limit of a request as a whole holds however busy
// both sides are, and only for that request.
func TestWhole(t *testing.T) {
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			switch q.URL.Path {
			case "/wait":
			case "/drip":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
				for err == nil {
					time.Sleep(short / 10)
					_, err = c.Write([]byte("x"))
				}
			default:
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	e := start(t, with(func(p *backend.Policy) { p.Timeouts.Whole = short }), proxy.Entrypoint{}, ep)
	p := e.dial(t)
	if r, _ := p.say("GET /wait HTTP/1.1\r\nHost: example.com\r\n\r\n").hear("GET"); r.StatusCode != 504 {
		t.Errorf("got %v", r.Status)
	}
	time.Sleep(2 * short)
	if r, _ := p.say(getRoot).hear("GET"); r.StatusCode != 200 {
		t.Errorf("got %v", r.Status)
	}
	p.say("GET /drip HTTP/1.1\r\nHost: example.com\r\n\r\n")
	r, err := http.ReadResponse(p.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err == nil || len(b) > 900 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestBusy shows what a client is told for whom there is no room, and that one
// that waited is served.
func TestBusy(t *testing.T) {
	begun, release := make(chan bool, 2), make(chan bool)
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-release
	})
	e := start(t, with(func(p *backend.Policy) {
		p.Limit = backend.Limit{Requests: 1, Queue: 1, Wait: time.Minute}
	}), proxy.Entrypoint{}, ep)
	first, second, third := e.dial(t), e.dial(t), e.dial(t)
	first.say(getRoot)
	<-begun
	second.say(getRoot)
	for e.Status().Backends[0].Queued != 1 {
		time.Sleep(time.Millisecond)
	}
	if r, _ := third.say(getRoot).hear("GET"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("the third: %v", r)
	}
	close(release)
	for _, p := range []*peer{first, second} {
		if r, _ := p.hear("GET"); r.StatusCode != 200 {
			t.Errorf("got %v", r.Status)
		}
	}
}

// TestEjection shows that an endpoint that answers 502 only is passed over,
// and comes back once it does well, also after another policy was set.
func TestEjection(t *testing.T) {
	ill := make(chan bool, 1)
	ill <- true
	bad := handler(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case b := <-ill:
			ill <- b
			w.WriteHeader(502)
		default:
		}
	})
	e := start(t, with(func(p *backend.Policy) { p.Ejection.Base = short }), proxy.Entrypoint{}, bad, heads(t), heads(t))
	c := client(t, nil)
	failures := func(n int) (got int) {
		for range n {
			if r, _ := e.get(t, c, "/"); r.StatusCode == 502 {
				got++
			}
		}
		return got
	}
	if got := failures(30); got != 5 {
		t.Errorf("%d requests failed until it was ejected", got)
	}
	policy := backend.Default()
	policy.Ejection.Base, policy.Retries.Attempts = short, 3
	e.SetPolicies(policy, nil)
	if ep := e.Status().Backends[0].Endpoints[0]; ep.Ejected == nil || ep.Ejected.Why != "gateway error" {
		t.Errorf("%+v", ep)
	}
	<-ill
	before := e.Status().Backends[0].Endpoints[0].Requests
	time.Sleep(2 * short)
	if got := failures(30); got != 0 {
		t.Errorf("%d requests failed", got)
	}
	if ep := e.Status().Backends[0].Endpoints[0]; ep.Ejected != nil || ep.Requests < before+8 {
		t.Errorf("it is not back: %+v", ep)
	}
}

// TestWaitsLonger shows that the wait for an endpoint that has room may be
// longer than that for a head, and that the limit of a request as a whole ends
// it.
func TestWaitsLonger(t *testing.T) {
	for _, whole := range []time.Duration{0, 2 * short} {
		begun, release := make(chan bool, 2), make(chan bool)
		ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
			begun <- true
			<-release
		})
		o := with(func(p *backend.Policy) {
			p.Limit = backend.Limit{Requests: 1, Queue: 1, Wait: time.Minute}
			p.Timeouts.Whole = whole
		})
		o.Timeouts = proxy.Timeouts{Head: short, Idle: short}
		e := start(t, o, proxy.Entrypoint{}, ep)
		first, second := e.dial(t), e.dial(t)
		first.say(getRoot)
		<-begun
		second.say("GET / HTTP/1.1\r\n")
		time.Sleep(short / 10)
		second.say("Host: example.com\r\n\r\n")
		time.Sleep(4 * short)
		close(release)
		want := 200
		if whole > 0 {
			want = 504
		}
		for _, p := range []*peer{first, second} {
			if r, _ := p.hear("GET"); r.StatusCode != want {
				t.Errorf("of %v: got %v, want %d", whole, r.Status, want)
			}
		}
	}
}
