package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portico-lb/portico/l7/proxy"
)

// TestWebsocket echoes messages of all sizes, plain and over TLS.
func TestWebsocket(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 30)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
	server, config := certificate(t)
	for scheme, entry := range map[string]proxy.Entrypoint{"ws": {}, "wss": {TLS: server}} {
		t.Run(scheme, func(t *testing.T) {
			e := start(t, proxy.Options{}, entry, ep)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			c, _, err := websocket.Dial(ctx, scheme+"://"+e.addr, &websocket.DialOptions{HTTPClient: client(t, config), Host: "example.com"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 30)
			for _, size := range []int{0, 1, 100, 5000, 1 << 20} {
				sent := noise(1, size)
				if err := c.Write(ctx, websocket.MessageBinary, sent); err != nil {
					t.Fatal(err)
				}
				if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("%v: %d of %d bytes come back", err, len(got), size)
				}
			}
			if s := e.Status(); s.Tunnels != 1 || s.Responses.Switched != 1 || s.Backends[0].Endpoints[0].InFlight != 1 {
				t.Errorf("status %+v", s)
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTunnel shows what passes when protocols are switched: the words that
// come at once, and each half's end by itself.
func TestTunnel(t *testing.T) {
	got := make(chan string, 1)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil || req.Header.Get("Upgrade") != "echo" || req.Header.Get("Connection") != "Upgrade" {
			t.Errorf("got %v, %v", req, err)
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, x\r\nX: 1\r\nUpgrade: echo\r\n\r\nhello ")
		b, _ := io.ReadAll(r) // until the client's half ends
		got <- string(b)
		io.WriteString(c, "and goodbye")
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	told := e.observed(nil)
	p := e.dial(t).say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nat once")
	p.say(", later")
	p.Conn.(*net.TCPConn).CloseWrite()
	if s := <-got; s != "at once, later" {
		t.Errorf("the endpoint got %q", s)
	}
	const want = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello and goodbye"
	if s := p.rest(); s != want {
		t.Errorf("the client got %q", s)
	}
	const up, down = int64(len("at once, later")), int64(len("hello and goodbye"))
	if r := <-told; !r.Tunnel || r.RequestSize != up || r.OriginSize != down || r.Size != down {
		t.Errorf("told of %v, %d up and %d, %d down; want %d and %d", r.Tunnel, r.RequestSize, r.OriginSize, r.Size, up, down)
	}
}

// TestUpgradeDeclined shows that an endpoint may answer as if nothing had been
// asked.
func TestUpgradeDeclined(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, says(t, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno", false))
	p := e.dial(t)
	for range 2 {
		r, body := p.say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").hear("GET")
		if r.StatusCode != 426 || body != "no" {
			t.Fatalf("got %v", r)
		}
	}
}

// TestTunnelBreaks shows that the end of one side by reset ends the other.
func TestTunnelBreaks(t *testing.T) {
	over := make(chan error, 1)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, err := io.Copy(io.Discard, r)
		over <- err
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t).say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if line, err := p.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatal(line, err)
	}
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Conn.Close()
	<-over
}
