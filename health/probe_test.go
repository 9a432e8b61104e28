package health_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/health"
)

// listen serves each connection to a loopback listener with serve.
func listen(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// answer reads a request's header and writes text.
func answer(text string) func(net.Conn) {
	return func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, text)
	}
}

func readHeader(conn net.Conn) string {
	var got []byte
	b := make([]byte, 1)
	for !strings.HasSuffix(string(got), "\r\n\r\n") {
		if _, err := conn.Read(b); err != nil {
			break
		}
		got = append(got, b...)
	}
	return string(got)
}

func httpCheck(target netip.AddrPort) health.Check {
	return health.Check{
		Kind: health.HTTP, Target: target, Timeout: 200 * time.Millisecond,
		HTTP: health.HTTPRequest{Path: "/ready", Status: health.StatusRange{Low: 200, High: 299}},
	}
}

func TestProbeHTTP(t *testing.T) {
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	endless := func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		for err := error(nil); err == nil; {
			_, err = conn.Write(make([]byte, 4096))
		}
	}
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		want  string // in place of the pass
	}{
		"ok":             {answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), ""},
		"no content":     {answer("HTTP/1.1 204 No Content\r\n\r\n"), ""},
		"early hints":    {answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), ""},
		"hints alone":    {answer("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "status 503, want 200-299"},
		"http 1.0":       {answer("HTTP/1.0 200 OK\r\n\r\nok"), ""},
		"chunked":        {answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ""},
		"endless":        {endless, ""},
		"unavailable":    {answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "status 503, want 200-299"},
		"redirect":       {answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"), "status 302, want 200-299"},
		"silent":         {silent, "read response: timeout after 200ms"},
		"not http":       {answer("220 mail.example.com ESMTP\r\n"), `read response: malformed HTTP`},
		"closes":         {func(net.Conn) {}, "read response: "},
		"cut body":       {answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "read body: unexpected EOF"},
		"endless header": {answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<17)), "read response: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			err := health.Probe(t.Context(), httpCheck(listen(t, tt.serve)))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want a pass", err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// What follows the path may be a secret, and the name goes to the log.
func TestCheckNameHasNoQuery(t *testing.T) {
	c := httpCheck(netip.MustParseAddrPort("10.0.0.3:80"))
	c.HTTP.Path = "/ready?token=s3cret"
	if got := c.String(); got != "http 10.0.0.3:80/ready?..." {
		t.Errorf("got %s", got)
	}
}

func TestProbeHTTPRequest(t *testing.T) {
	requests := make(chan string, 2)
	target := listen(t, func(conn net.Conn) {
		requests <- readHeader(conn)
		io.WriteString(conn, "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")
	})
	c := httpCheck(target)
	c.HTTP = health.HTTPRequest{Host: "www.example.com", Path: "/a%20b?c=d", Status: health.StatusRange{Low: 418, High: 418}}
	if err := health.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	const want = "GET /a%20b?c=d HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: portico-health\r\nConnection: close\r\n\r\n"
	if got := <-requests; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}

	c.HTTP.Host = ""
	if err := health.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := <-requests; !strings.Contains(got, fmt.Sprintf("\r\nHost: %s\r\n", target)) {
		t.Errorf("no host configured: got %q", got)
	}
}

func TestProbeTCP(t *testing.T) {
	c := health.Check{Kind: health.TCP, Timeout: time.Second}
	c.Target = listen(t, func(net.Conn) {})
	if err := health.Probe(t.Context(), c); err != nil {
		t.Errorf("a listener: %v", err)
	}

	// A port that was just free refuses.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Target = l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	for _, kind := range []health.Kind{health.TCP, health.HTTP} {
		c.Kind = kind
		err = health.Probe(t.Context(), c)
		if want := fmt.Sprintf("connect %s: connection refused", c.Target); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", kind, err, want)
		}
	}
}

// A removed check must not hold up the one who removes it for its timeout.
func TestProbeEndsWithItsContext(t *testing.T) {
	c := httpCheck(listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }))
	c.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(20*time.Millisecond, cancel)
	defer stop.Stop()
	if err := health.Probe(ctx, c); err == nil {
		t.Error("a cancelled attempt passed")
	}
}

// The server says its weight in a field, in the body, and a program on its
// output.
func TestProbeWeight(t *testing.T) {
	p := health.NewProber()
	defer p.Close()
	target := listen(t, answer("HTTP/1.1 200 OK\r\nX-Weight: 40%\r\nContent-Length: 3\r\n\r\n70\n"))
	for from, want := range map[string]int{"": 100, "header:X-Weight": 40, "header:X-Other": -1, "body": 70} {
		c := httpCheck(target)
		c.Timeout, c.WeightFrom = 2*time.Second, from
		if got, err := p.Probe(t.Context(), c); err != nil || got.Percent != want || (want < 0) != (got.Fault != "") {
			t.Errorf("%q: got %+v, %v, want %d percent", from, got, err, want)
		}
		c.HTTP.Body = "^7"
		if got, err := p.Probe(t.Context(), c); err != nil || got.Percent != want {
			t.Errorf("%q beside body: got %+v, %v, want %d percent", from, got, err, want)
		}
	}
	program := health.Check{Kind: health.Exec, Timeout: 5 * time.Second, WeightFrom: "output", Exec: health.Program{Args: "/bin/echo\x0055\x00"}}
	if got, err := p.Probe(t.Context(), program); err != nil || got.Percent != 55 {
		t.Errorf("program: got %+v, %v", got, err)
	}
}
