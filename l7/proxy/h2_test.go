package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/portico-lb/portico/l7/proxy"
)

// An opener asks for a tunnel by extended CONNECT, and returns the response and
// the way to the endpoint.
type opener func(t *testing.T, protocol, path string) (*http.Response, io.WriteCloser)

var websocketHeader = http.Header{"Sec-Websocket-Version": {"13"}, "Origin": {"https://example.com"}}

// openHTTP2 is how RFC 8441 does it.
func openHTTP2(t *testing.T, ep string) (*edge, opener) {
	e := start(t, proxy.Options{Drain: time.Hour}, proxy.Entrypoint{H2C: true}, ep)
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	cc, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(nc) //nolint:staticcheck // that of net/http refuses :protocol
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return e, func(t *testing.T, protocol, path string) (*http.Response, io.WriteCloser) {
		t.Helper()
		out, in := io.Pipe()
		r, err := http.NewRequest(http.MethodConnect, "http://"+e.addr+path, out)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Header = "example.com", websocketHeader.Clone()
		r.Header[":protocol"] = []string{protocol}
		resp, err := cc.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp, in
	}
}

// openHTTP3 is how RFC 9220 does it.
func openHTTP3(t *testing.T, ep string) (*edge, opener) {
	server, config := certificate(t)
	p := proxy.New(proxy.Options{Log: logger(t), Drain: time.Hour})
	p.SetRoutes(table(t))
	p.SetEndpoints(endpoints(ep))
	e := serveHTTP3(t, p, "127.0.0.1:0", server)
	config = config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	conn, err := quic.DialAddr(t.Context(), e.addr, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http3.Transport{DisableCompression: true}
	cc := tr.NewClientConn(conn)
	t.Cleanup(func() {
		cc.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		tr.Close()
	})
	<-cc.ReceivedSettings()
	return e, func(t *testing.T, protocol, path string) (*http.Response, io.WriteCloser) {
		t.Helper()
		r, err := http.NewRequest(http.MethodConnect, "https://"+e.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Proto, r.Header = "example.com", protocol, websocketHeader.Clone()
		s, err := cc.OpenRequestStream(t.Context())
		if err == nil {
			err = s.SendRequestHeader(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.ReadResponse()
		if err != nil {
			t.Fatal(err)
		}
		return resp, s
	}
}

// TestExtendedConnect opens tunnels to an endpoint that knows websockets from
// HTTP/1.1, of which each half ends by itself. Other protocols there are none.
func TestExtendedConnect(t *testing.T) {
	for version, open := range map[string]func(*testing.T, string) (*edge, opener){"HTTP/2": openHTTP2, "HTTP/3": openHTTP3} {
		t.Run(version, func(t *testing.T) { testExtendedConnect(t, open) })
	}
}

func testExtendedConnect(t *testing.T, open func(*testing.T, string) (*edge, opener)) {
	asked := make(chan *http.Request, 1)
	ended := make(chan string, 1)
	e, connect := open(t, script(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		asked <- req
		switch req.URL.Path {
		case "/long":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.ReadAll(r)
		case "/chat", "/broken":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello ")
			line, _ := r.ReadString('\n')
			io.WriteString(c, strings.ToUpper(line))
			if req.URL.Path == "/broken" {
				c.(*net.TCPConn).SetLinger(0)
				return
			}
			c.(*net.TCPConn).CloseWrite()
			rest, _ := io.ReadAll(r)
			ended <- string(rest)
		default:
			io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		}
	}))
	resp, in := connect(t, "websocket", "/chat")
	if req := <-asked; req.Method != "GET" || req.Header.Get("Upgrade") != "websocket" || len(req.Header.Get("Sec-Websocket-Key")) != 24 ||
		req.Header.Get("Sec-Websocket-Version") != "13" || req.Host != "example.com" || req.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("the endpoint got %v", req)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Sec-Websocket-Protocol") != "chat" || resp.Header.Get("Sec-Websocket-Accept") != "" {
		t.Errorf("got %v", resp)
	}
	hello := make([]byte, len("hello "))
	if _, err := io.ReadFull(resp.Body, hello); err != nil || string(hello) != "hello " {
		t.Errorf("got %q, %v", hello, err)
	}
	for first := time.Now(); e.Status().Tunnels != 1; time.Sleep(time.Millisecond) { // the word goes out first
		if time.Since(first) > 30*time.Second {
			t.Fatalf("%d tunnels", e.Status().Tunnels)
		}
	}
	io.WriteString(in, "word\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "WORD\n" { // one half has ended
		t.Errorf("then got %q, %v", rest, err)
	}
	io.WriteString(in, "last")
	in.Close()
	if rest := <-ended; rest != "last" {
		t.Errorf("the endpoint got %q", rest)
	}
	resp, in = connect(t, "websocket", "/broken")
	<-asked
	io.WriteString(in, "word\n")
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q of a broken tunnel, which looks whole", rest)
	}
	in.Close()
	resp, in = connect(t, "websocket", "/no")
	<-asked
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(body) != "no" {
		t.Errorf("got %v %q", resp, body)
	}
	in.Close()
	resp, in = connect(t, "connect-udp", "/chat") // RFC 9220, section 3
	if resp.StatusCode != 501 {
		t.Errorf("got %v for another protocol", resp)
	}
	resp.Body.Close()
	in.Close()
	resp, _ = connect(t, "websocket", "/long")
	<-asked
	e.end(proxy.ErrAwaited) // whose drain does not wait for tunnels
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q of a tunnel that is cut, which looks whole", rest)
	}
	e.wait(t)
}
