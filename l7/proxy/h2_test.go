package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/proxy"
)

// TestWebsocketOverHTTP2 opens a tunnel by extended CONNECT (RFC 8441) to an
// endpoint that knows it from HTTP/1.1.
func TestWebsocketOverHTTP2(t *testing.T) {
	asked := make(chan *http.Request, 1)
	ended := make(chan string, 1)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		asked <- req
		if req.URL.Path != "/chat" {
			io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello ")
		line, _ := r.ReadString('\n')
		io.WriteString(c, strings.ToUpper(line))
		rest, _ := io.ReadAll(r)
		ended <- string(rest)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{H2C: true}, ep)
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	cc, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(nc) //nolint:staticcheck // that of net/http refuses :protocol
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	connect := func(path string) (*http.Response, *io.PipeWriter) {
		t.Helper()
		out, in := io.Pipe()
		r, err := http.NewRequest(http.MethodConnect, "http://"+e.addr+path, out)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "example.com"
		r.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Origin": {"https://example.com"}}
		resp, err := cc.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp, in
	}
	resp, in := connect("/chat")
	if req := <-asked; req.Method != "GET" || req.Header.Get("Upgrade") != "websocket" || len(req.Header.Get("Sec-Websocket-Key")) != 24 ||
		req.Header.Get("Sec-Websocket-Version") != "13" || req.Host != "example.com" || req.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("the endpoint got %v", req)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Sec-Websocket-Protocol") != "chat" || resp.Header.Get("Sec-Websocket-Accept") != "" {
		t.Errorf("got %v", resp)
	}
	io.WriteString(in, "word\n")
	answer := make([]byte, len("hello WORD\n"))
	if _, err := io.ReadFull(resp.Body, answer); err != nil || string(answer) != "hello WORD\n" {
		t.Errorf("got %q, %v", answer, err)
	}
	if n := e.Status().Tunnels; n != 1 {
		t.Errorf("%d tunnels", n)
	}
	io.WriteString(in, "last")
	in.Close() // half of the tunnel ends
	if rest := <-ended; rest != "last" {
		t.Errorf("the endpoint got %q", rest)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("then got %q, %v", rest, err)
	}
	resp, in = connect("/no")
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(body) != "no" {
		t.Errorf("got %v %q", resp, body)
	}
	in.Close()
}
