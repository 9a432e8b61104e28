package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// TestChunkExtensions: chunk extensions end here, wherever they are torn.
func TestChunkExtensions(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
	pieces := []string{head, "3;a=", "b\r\nab", "c\r\n2", ";\r\nde\r\n0;", "x\r\nA: b\r\n\r\n"}
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "A: b\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("after %q: %v", got.String(), err)
				return
			}
			got.WriteString(line)
		}
		if _, body, _ := strings.Cut(got.String(), "\r\n\r\n"); body != "3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n" {
			t.Errorf("an endpoint got %q", got.String())
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde")
	})
	h2 := way{back: "HTTP/2"}
	echo := h2.endpoint(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	e := start(t, proxy.Options{}, proxy.Entrypoint{})
	for _, endpoints := range []func(){
		func() { e.SetEndpoints(endpoints(ep)) },
		func() { e.SetEndpoints(h2.endpoints(echo)) },
	} {
		endpoints()
		for together := range len(pieces) + 1 {
			p := e.dial(t).say(strings.Join(pieces[:together], ""))
			for _, s := range pieces[together:] {
				p.say(s)
			}
			if r, body := p.hear("POST"); r.StatusCode != 200 || body != "abcde" {
				t.Errorf("%d pieces at once: got %v %q", together, r, body)
			}
		}
	}
}

// TestRefusedBody: behind a body that is too long nothing is a request.
func TestRefusedBody(t *testing.T) {
	e := start(t, proxy.Options{Caps: proxy.Caps{Body: 4}}, proxy.Entrypoint{}, heads(t))
	for _, body := range []string{
		"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
		"Content-Length: 5\r\n\r\nabcde",
	} {
		got := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\n" + body + getRoot).rest()
		if !strings.HasPrefix(got, "HTTP/1.1 413 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: got %q", body, got)
		}
	}
	if _, got := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nabcd").hear("POST"); !strings.HasSuffix(got, "\r\n\r\nabcd") {
		t.Errorf("got %q", got)
	}
}

func TestMaxForwards(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, heads(t))
	p := e.dial(t)
	for _, tc := range []struct{ line, want string }{
		{"OPTIONS /x", "5->4"}, {"OPTIONS /", "1->0"}, {"OPTIONS /", "0->-"}, {"OPTIONS /", "x->x"}, {"OPTIONS /", "-1->-1"}, {"GET /", "5->5"}, {"GET /", "0->0"},
	} {
		in, out, _ := strings.Cut(tc.want, "->")
		r, got := p.say(tc.line + " HTTP/1.1\r\nHost: example.com\r\nMax-Forwards: " + in + "\r\n\r\n").hear("GET")
		forwarded := out != "-"
		if r.StatusCode != 200 || strings.HasPrefix(got, tc.line) != forwarded || forwarded && !strings.Contains(got, "\r\nMax-Forwards: "+out+"\r\n") {
			t.Errorf("%+v: got %v %q", tc, r.Status, got)
		}
	}
}
