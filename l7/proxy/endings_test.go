package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

// short are timeouts that a test can wait for. Those that it does not want are
// left at their long defaults.
const short = 150 * time.Millisecond

func TestSlowHead(t *testing.T) {
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Head: short}}, proxy.Entrypoint{})
	p := e.dial(t).say("GET / HTTP/1.1\r\nHo")
	// Further bytes do not buy further time.
	stop := make(chan bool)
	go func() {
		defer close(stop)
		for range 100 {
			if _, err := io.WriteString(p.Conn, "x"); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(short / 10):
			}
		}
	}()
	begin := time.Now()
	if s := p.rest(); !strings.HasPrefix(s, "HTTP/1.1 408 ") {
		t.Errorf("got %q", s)
	}
	if d := time.Since(begin); d < short/2 || d > 10*short {
		t.Errorf("took %v", d)
	}
	p.Conn.Close()
	<-stop
}

func TestIdle(t *testing.T) {
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Idle: short}}, proxy.Entrypoint{}, heads(t))
	if s := e.dial(t).rest(); s != "" {
		t.Errorf("before the first request: got %q", s)
	}
	p := e.dial(t).say(getRoot)
	p.hear("GET")
	if s := p.rest(); s != "" {
		t.Errorf("between requests: got %q", s)
	}
}

func TestSlowHandshake(t *testing.T) {
	server, _ := certificate(t)
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Head: short}}, proxy.Entrypoint{TLS: server})
	if s := e.dial(t).rest(); s != "" {
		t.Errorf("got %q", s)
	}
}

func TestSilentEndpoint(t *testing.T) {
	release := make(chan bool)
	defer close(release)
	ep := script(t, func(c net.Conn, r *bufio.Reader) { <-release })
	e := start(t, proxy.Options{Policy: waits(time.Minute, short)}, proxy.Entrypoint{}, ep)
	p := e.dial(t)
	for range 2 { // the client's connection goes on
		if r, _ := p.say(getRoot).hear("GET"); r.StatusCode != 504 {
			t.Fatalf("got %v", r)
		}
	}
	if s := e.Status().Backends[0].Endpoints[0]; s.InFlight != 0 || s.Idle != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSilentUpload(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Stall: short}}, proxy.Entrypoint{}, ep)
	for _, coding := range []string{"Content-Length: 10", "Content-Length: 100000", "Transfer-Encoding: chunked"} {
		p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\n" + coding + "\r\n\r\n3\r\nabc\r\n")
		if s := p.rest(); !strings.HasPrefix(s, "HTTP/1.1 408 ") {
			t.Errorf("%s: got %q", coding, s)
		}
	}
}

// TestSlowUpload shows that a body may take as long as it likes while it comes.
func TestSlowUpload(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	// Eight pieces take twice the limit, each a quarter of it: a busy machine
	// may be late by the rest.
	limit := 4 * short
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Stall: limit}, Policy: waits(2*time.Second, limit)}, proxy.Entrypoint{}, ep)
	tick := time.NewTicker(short)
	defer tick.Stop()
	for _, tc := range []struct{ coding, piece, end string }{
		{"Content-Length: 8", "x", ""},
		{"Transfer-Encoding: chunked", "1\r\nx\r\n", "0\r\n\r\n"},
	} {
		p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\n" + tc.coding + "\r\n\r\n")
		for range 8 {
			<-tick.C
			p.say(tc.piece)
		}
		if r, body := p.say(tc.end).hear("POST"); r.StatusCode != 200 || body != "xxxxxxxx" {
			t.Errorf("%s: got %v %q", tc.coding, r, body)
		}
	}
}

// deaf returns an address that answers no SYN: its backlog is full.
func deaf(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := (&net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: sa.(*syscall.SockaddrInet4).Port}).String()
	for range 3 {
		c, err := net.DialTimeout("tcp", addr, short)
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close() })
	}
	return addr
}

func TestDialTimeout(t *testing.T) {
	e := start(t, proxy.Options{Policy: waits(short, time.Minute)}, proxy.Entrypoint{}, deaf(t))
	if r, _ := e.dial(t).say(getRoot).hear("GET"); r.StatusCode != 504 {
		t.Errorf("got %v", r)
	}
	// Beside one that lives it costs nobody more than its own time, once.
	e.SetEndpoints(endpoints(deaf(t), heads(t)))
	p := e.dial(t)
	begin := time.Now()
	for range 20 {
		if r, _ := p.say(getRoot).hear("GET"); r.StatusCode != 200 {
			t.Fatalf("got %v", r)
		}
	}
	if d := time.Since(begin); d > 5*short {
		t.Errorf("20 requests took %v", d)
	}
}

// TestDrain shows the end: requests are answered and told to leave, those on
// their way too, idle connections leave, and nobody is let in.
func TestDrain(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			begun <- true
			<-release
		}
		io.WriteString(w, "done")
	})
	e := start(t, proxy.Options{Drain: 10 * time.Second}, proxy.Entrypoint{}, ep)
	silent, late, idle, busy := e.dial(t), e.dial(t), e.dial(t), e.dial(t)
	idle.say(getRoot).hear("GET")
	busy.say("GET /wait HTTP/1.1\r\nHost: example.com\r\n\r\n" + getRoot)
	<-begun
	for e.Status().Connections < 4 { // those that say nothing come late
		time.Sleep(time.Millisecond)
	}
	e.stop()
	for name, p := range map[string]*peer{"first": late, "next": idle} {
		// The drain begins a moment after it is asked for; from then on a
		// response says that it is the last.
		r, body := p.say(getRoot).hear("GET")
		for i := 0; i < 1000 && body == "done" && !r.Close; i++ {
			r, body = p.say(getRoot).hear("GET")
		}
		if body != "done" || !r.Close {
			t.Errorf("a %s request that came after the drain began got %v %q", name, r, body)
		}
	}
	begin := time.Now()
	if s := silent.rest(); s != "" || time.Since(begin) > 5*time.Second {
		t.Errorf("a connection without a request got %q after %v", s, time.Since(begin))
	}
	if _, err := net.Dial("tcp", e.addr); err == nil {
		t.Error("still accepts")
	}
	close(release)
	if r, body := busy.hear("GET"); body != "done" || !r.Close {
		t.Errorf("got %v %q", r, body)
	}
	if s := busy.rest(); s != "" {
		t.Errorf("then got %q", s)
	}
	e.wait(t)
	if s := e.Status(); s.Connections != 0 || s.Backends[0].Endpoints[0].Idle != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDrainEnds shows that what does not end is cut when the time is over.
func TestDrainEnds(t *testing.T) {
	release := make(chan bool)
	defer close(release)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.Header.Get("Upgrade") != "" {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}
		<-release
	})
	e := start(t, proxy.Options{Drain: short}, proxy.Entrypoint{}, ep)
	tunnel := e.dial(t).say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	tunnel.ReadString('\n')
	e.dial(t).say(getRoot)
	e.dial(t).say("GET / HT")
	e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n")
	begin := time.Now()
	e.stop()
	e.wait(t)
	if d := time.Since(begin); d < short/2 || d > 20*short {
		t.Errorf("took %v", d)
	}
}

// TestReplaced shows that what another Serve replaces may take its time, until
// the process ends.
func TestReplaced(t *testing.T) {
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		if req, err := http.ReadRequest(r); err != nil || req.Header.Get("Upgrade") == "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, r)
	})
	e := &edge{Proxy: proxy.New(proxy.Options{Log: logger(t), Drain: short})}
	e.SetRoutes(table(t))
	e.SetEndpoints(endpoints(ep))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = l.Addr().String()
	ctx, replace := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx, l, proxy.Entrypoint{}) }()
	c, idle := e.dial(t), e.dial(t)
	idle.say(getRoot).hear("GET")
	c.say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if r, err := http.ReadResponse(c.Reader, nil); err != nil || r.StatusCode != 101 {
		t.Fatalf("got %v, %v", r, err)
	}
	replace(proxy.ErrReplaced)
	for begin := time.Now(); time.Since(begin) < 8*short; { // longer than lastCall
		c.say("x")
		if b, err := c.Reader.ReadByte(); err != nil || b != 'x' {
			t.Fatalf("%q, %v after %v", b, err, time.Since(begin))
		}
	}
	if r, _ := idle.say(getRoot).hear("GET"); r.StatusCode != 200 || !r.Close {
		t.Errorf("got %v", r)
	}
	select {
	case err := <-done:
		t.Fatalf("Serve returned before its tunnel ended: %v", err)
	default:
	}
	e.Stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Serve does not return after Stop")
	}
}

// TestSlowDownload shows that a large body may take as long as it likes while any
// of it comes.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	const pieces, size = 8, 100_000
	limit := 4 * short
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r) // what is not read would have the end reset what is on its way
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", pieces*size)
		tick := time.NewTicker(short)
		defer tick.Stop()
		for i := range pieces - 1 {
			io.WriteString(c, strings.Repeat("x", 1+i))
			<-tick.C
		}
		io.WriteString(c, strings.Repeat("x", pieces*size-(pieces-1)*pieces/2))
	})
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Stall: limit}, Policy: waits(2*time.Second, limit)}, proxy.Entrypoint{}, ep)
	if r, body := e.dial(t).say(getRoot).hear("GET"); r.StatusCode != 200 || len(body) != pieces*size {
		t.Errorf("got %v and %d bytes", r, len(body))
	}
}

// TestClientTakesNothing: who asks for a large body and does not read it is cut
// after the time to stall, however long endpoints may take.
func TestClientTakesNothing(t *testing.T) {
	t.Parallel()
	torn := make(chan error, 1)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<30)
		_, err := io.CopyN(c, endless{}, 1<<30)
		torn <- err
	})
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Stall: 2 * short}, Policy: waits(2*time.Second, time.Hour)}, proxy.Entrypoint{}, ep)
	p := e.dial(t).say(getRoot)
	defer p.Conn.Close()
	select {
	case err := <-torn:
		if err == nil {
			t.Error("the endpoint could send all of it")
		}
	case <-time.After(30 * time.Second):
		t.Error("the client is waited for")
	}
}
