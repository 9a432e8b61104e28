package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// heads returns an endpoint that answers each request with the bytes of its
// head, and its body behind.
func heads(t testing.TB) string {
	return script(t, func(c net.Conn, r *bufio.Reader) {
		for {
			var head strings.Builder
			length := 0
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
				if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
					for _, d := range strings.TrimSpace(n) {
						length = 10*length + int(d-'0')
					}
				}
			}
			body := make([]byte, length)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			w := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(head.Len() + length),
				Body: io.NopCloser(strings.NewReader(head.String() + string(body)))}
			if w.Write(c) != nil {
				return
			}
		}
	})
}

// TestForwardedHead shows what an endpoint gets for what a client sent.
func TestForwardedHead(t *testing.T) {
	const untrusted = "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
	const forwarded = untrusted + "X-Forwarded-Host: example.com\r\nX-Forwarded-Port: 80\r\n"
	plain := proxy.Entrypoint{}
	trusting := proxy.Entrypoint{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, tc := range []struct {
		name       string
		entry      proxy.Entrypoint
		sent, want string
	}{
		{"plain", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nAccept: a\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: a\r\n" + forwarded + "\r\n"},
		{"path is sent as it was matched, query untouched", plain, "GET //a/./b/../%7e%2f?x=../%7e HTTP/1.1\r\nHost: example.com\r\n\r\n",
			"GET /a/~%2F?x=../%7e HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"host is preserved", plain, "GET / HTTP/1.1\r\nHost: Example.COM:8080\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: Example.COM:8080\r\n" + untrusted + "X-Forwarded-Host: Example.COM:8080\r\nX-Forwarded-Port: 8080\r\n\r\n"},
		{"absolute target replaces host", plain, "GET http://example.com/a?b HTTP/1.1\r\nHost: other\r\nA: b\r\n\r\n",
			"GET /a?b HTTP/1.1\r\nHost: example.com\r\nA: b\r\n" + forwarded + "\r\n"},
		{"absolute target without path", plain, "GET http://example.com HTTP/1.1\r\nHost: other\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"body", plain, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n" + forwarded + "\r\nabc"},
		{"HTTP/1.0 becomes 1.1", plain, "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"hop-by-hop fields stay here", plain, "GET / HTTP/1.1\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nX-Mine: 1\r\nHost: example.com\r\nTE: gzip\r\nProxy: x\r\nLast: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nLast: 1\r\n" + forwarded + "\r\n"},
		{"trailers are welcome", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nTE: gzip;q=1, Trailers\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "Connection: TE\r\nTE: trailers\r\n\r\n"},
		{"h2c is not passed on", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"h2c among others is not either", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"upgrade with a body is not", plain, "POST / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\na",
			"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n" + forwarded + "\r\na"},
		{"nobody is believed", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.2.3.4\r\nx-real-ip: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n" +
			"X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nX_Real_Ip: 1\r\nContent_Length: 5\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"Connection removes nothing of ours", plain, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: x-forwarded-for, X-Real-Ip, host\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\n" + forwarded + "\r\n"},
		{"trusted: the first address from the right that is not", trusting,
			"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\nForwarded: for=1.2.3.4\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\nForwarded: for=1.2.3.4\r\n" +
				"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1, 127.0.0.1\r\nX-Real-Ip: 1.2.3.4\r\nX-Forwarded-Host: example.com\r\n\r\n"},
		{"trusted: all of them", trusting, "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 10.1.1.1, 127.0.0.1\r\nX-Real-Ip: 10.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Port: 80\r\n\r\n"},
		{"trusted: garbage ends the walk", trusting, "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.2.3.4, bad, [::1]:5\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.2.3.4, bad, [::1]:5, 127.0.0.1\r\nX-Real-Ip: ::1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Port: 80\r\n\r\n"},
		{"trusted: aliases are not believed even so", trusting, "GET / HTTP/1.1\r\nHost: example.com\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Port: 80\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, proxy.Options{}, tc.entry, heads(t))
			if _, got := e.dial(t).say(tc.sent).hear("GET"); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

// TestRefused shows what is never forwarded, and that the connection ends.
func TestRefused(t *testing.T) {
	ep := script(t, func(net.Conn, *bufio.Reader) { t.Error("an endpoint was reached") })
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	for _, tc := range []struct {
		name, sent string
		status     string
	}{
		{"length and coding", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nabcde", "400"},
		{"bare LF", "GET / HTTP/1.1\nHost: example.com\n\n", "400"},
		{"malformed chunk with the head", "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400"},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", "501"},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: example.com\r\n\r\n", "501"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
		{"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"host with a path", "GET / HTTP/1.1\r\nHost: example.com/x\r\n\r\n", "400"},
		{"host list", "GET / HTTP/1.1\r\nHost: example.com, example.org\r\n\r\n", "400"},
		{"hidden dots (CVE-2025-66490)", "GET /a/..%2fb HTTP/1.1\r\nHost: example.com\r\n\r\n", "400"},
		{"encoded NUL", "GET /a%00 HTTP/1.1\r\nHost: example.com\r\n\r\n", "400"},
		{"backslash", "GET /a\\..\\b HTTP/1.1\r\nHost: example.com\r\n\r\n", "400"},
		{"long request line", "GET /" + strings.Repeat("a", 20<<10), "414"},
		{"large head", "GET / HTTP/1.1\r\nHost: example.com\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", "431"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := e.dial(t)
			go io.WriteString(p.Conn, tc.sent+getRoot)
			got := p.rest()
			if !strings.HasPrefix(got, "HTTP/1.1 "+tc.status+" ") || !strings.Contains(got, "\r\nConnection: close\r\n") || strings.Contains(got, "\nHTTP/1.1 ") {
				t.Errorf("got %q, want one %s", got, tc.status)
			}
		})
	}
}

func TestOwnAnswers(t *testing.T) {
	p := proxy.New(proxy.Options{Log: logger(t)})
	e := serve(t, p, proxy.Entrypoint{})
	ask := func(host, want string) {
		t.Helper()
		c := e.dial(t)
		for range 2 { // the connection goes on
			r, body := c.say("POST /x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 3\r\n\r\nabc").hear("POST")
			if r.Status != want || r.Close || r.Header.Get("Date") == "" || !strings.HasPrefix(body, want+": ") {
				t.Errorf("got %v %q", r, body)
			}
		}
		if r, body := c.say("HEAD /x HTTP/1.1\r\nHost: " + host + "\r\n\r\n").hear("HEAD"); r.Status != want || body != "" {
			t.Errorf("HEAD: got %v", r)
		}
	}
	ask("example.com", "503 Service Unavailable") // no routes yet
	p.SetRoutes(table(t))
	ask("example.com", "503 Service Unavailable") // no endpoint
	ask("example.org", "404 Not Found")
	p.SetEndpoints(endpoints(closedPort(t), closedPort(t)))
	ask("example.com", "502 Bad Gateway")
	if s := e.Status(); s.Backends[0].Endpoints[0].FailedDials == 0 || s.Responses.ServerError == 0 || s.Requests != 12 {
		t.Errorf("status %+v", s)
	}
}

// closedPort returns an address that refuses connections.
func closedPort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
