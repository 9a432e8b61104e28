package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// answerAndPart answers a request and ends the stream in the same segment, without a word of
// it, and goes on to read, as servers do that linger.
func answerAndPart(t *testing.T, c net.Conn, r *bufio.Reader) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	io.Copy(io.Discard, req.Body)
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
	}
	if err != nil {
		t.Error(err)
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
}

func parting(t *testing.T) string {
	return script(t, func(c net.Conn, r *bufio.Reader) { answerAndPart(t, c, r) })
}

const postRoot = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\nx"

// TestUnfit: connections that were ended behind an answer cost no request, not even one
// that must not be sent twice, no retry, and nobody's turn.
func TestUnfit(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, parting(t),
		handler(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	told := e.observed(nil)
	p := e.dial(t)
	for range 20 {
		if r, body := p.say(postRoot).hear("POST"); r.StatusCode != 200 || body != "ok" {
			t.Fatalf("got %v %q", r, body)
		}
		if r := <-told; r.Retries != 0 || !r.Endpoint.IsValid() {
			t.Errorf("%d retries, endpoint %v", r.Retries, r.Endpoint)
		}
	}
	s := e.Status()
	for _, ep := range s.Backends[0].Endpoints {
		if s.Retries != 0 || ep.Requests != 10 || ep.InFlight != 0 {
			t.Errorf("%d retries, %+v", s.Retries, ep)
		}
	}
}

// TestUnfitAlone: of a request whose connection was ended and who gets no other, the
// log does not say that an endpoint had it.
func TestUnfitAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		l.Close()
		if err == nil {
			answerAndPart(t, c, bufio.NewReader(c))
			c.Close()
		}
	}()
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, l.Addr().String())
	told := e.observed(nil)
	p := e.dial(t)
	for _, want := range []int{200, 502} {
		if r, _ := p.say(getRoot).hear("GET"); r.StatusCode != want {
			t.Fatalf("got %d, want %d", r.StatusCode, want)
		}
		if r := <-told; r.Endpoint.IsValid() != (want == 200) {
			t.Errorf("%d: endpoint %v", want, r.Endpoint)
		}
	}
}

// TestUnfitMirror: nor does it cost a copy.
func TestUnfitMirror(t *testing.T) {
	e := start(t, slow(), proxy.Entrypoint{})
	e.through(t, mirror(1000))
	eps := endpoints(handler(t, func(http.ResponseWriter, *http.Request) {}))
	eps[shadow] = endpoints(parting(t))[web]
	e.SetEndpoints(eps)
	p := e.dial(t)
	for i := range 10 {
		p.say(getRoot).hear("GET")
		if c := e.mirrored(t, uint64(i+1)); c.Failed != 0 {
			t.Fatalf("%+v", c)
		}
	}
}
