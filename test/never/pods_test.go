package never

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
)

const podPort = 8080

// A pod is a server at an address of its own.
type pod struct {
	name, addr string
	server     *http.Server // nil for one that is no proper server
}

func (p *pod) listens() string { return fmt.Sprintf("%s:%d", p.addr, podPort) }

// address returns a Pod without a server.
func (s *site) address(service string) *pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return &pod{name: fmt.Sprintf("%s-%d", service, s.last), addr: fmt.Sprintf("10.244.%d.%d", s.last/250, 1+s.last%250)}
}

// newPod starts a Pod that serves HTTP. Its answers begin with the service's
// name.
func (s *site) newPod(service string) *pod {
	p := s.address(service)
	p.server = s.node.Serve(p.listens(), p)
	return p
}

// end stops the Pod after a while as Kubernetes has it stopped: it accepts no
// more connections, closes idle ones, and answers what was asked before.
func (s *site) end(p *pod, after time.Duration) {
	s.pods.Go(func() {
		<-time.After(after)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.server.Shutdown(ctx); err != nil {
			s.t.Errorf("%s did not end: %v", p.name, err)
		}
	})
}

// ServeHTTP answers with the Pod's name and what it was sent; /socket with an
// echo, /slow after a while.
func (p *pod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/socket":
		echo(w, r)
		return
	case "/slow":
		select {
		case <-time.After(time.Duration(rand.IntN(500)) * time.Millisecond):
		case <-r.Context().Done():
		}
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		return // the client sees that nothing comes
	}
	w.Header().Set("X-Pod", p.name)
	fmt.Fprintf(w, "%s %d %x", r.Method, n, sum.Sum(nil))
}

// echo sends every message back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// A temper is how a server treats a connection behind a response: how long it
// waits for another request, and whether it says so when it waits for none.
type temper struct {
	name string
	// idle is how long a connection may be idle; requests, how many there are
	// on one at most.
	idle     time.Duration
	requests int
	tell     bool // by Connection: close
	reset    bool // instead of an orderly end
}

// tempers are those of servers that end connections just when the next request
// comes.
var tempers = []temper{
	{name: "impatient", idle: 2 * time.Millisecond},
	{name: "very impatient", idle: 300 * time.Microsecond},
	{name: "counts", requests: 3, idle: patience},
	{name: "tells", requests: 3, idle: patience, tell: true},
	{name: "resets", idle: 20 * time.Millisecond, reset: true},
}

// newOdd starts a Pod with a temper.
func (s *site) newOdd(t temper) *pod {
	p := s.address("odd")
	l := s.node.Listen("tcp", p.listens())
	s.t.Cleanup(func() { l.Close() })
	s.pods.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.pods.Go(func() { p.serve(c, t) })
		}
	})
	return p
}

func (p *pod) serve(c net.Conn, t temper) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		if n > 1 {
			c.SetReadDeadline(time.Now().Add(time.Duration(rand.Int64N(int64(t.idle)))))
		} else {
			c.SetReadDeadline(time.Now().Add(patience))
		}
		if _, err := r.Peek(1); err != nil {
			if t.reset && errors.Is(err, os.ErrDeadlineExceeded) {
				c.(*net.TCPConn).SetLinger(0)
			}
			return
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if last := t.requests > 0 && n >= 1+rand.IntN(t.requests); !p.answer(c, r, last && t.tell) || last {
			return
		}
	}
}

// answer reads a request and answers it as ServeHTTP does.
func (p *pod) answer(c net.Conn, r *bufio.Reader, last bool) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	sum := sha256.New()
	n, err := io.Copy(sum, req.Body)
	if err != nil {
		return false
	}
	body := fmt.Sprintf("%s %d %x", req.Method, n, sum.Sum(nil))
	if req.Method == http.MethodHead {
		body = ""
	}
	end := ""
	if last {
		end = "Connection: close\r\n"
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Pod: %s\r\n%sContent-Length: %d\r\n\r\n%s", p.name, end, len(body), body)
	return err == nil
}
