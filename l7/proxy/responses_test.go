package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

// says returns an endpoint that answers every head with the same bytes, and
// then closes when told so.
func says(t testing.TB, answer string, closes bool) string {
	return script(t, func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil || closes {
				return
			}
		}
	})
}

// dated adds a Date to the first final head in s, behind what the proxy writes.
func dated(s string) string {
	for _, status := range []string{" 200 ", " 204 ", " 304 "} {
		before, behind, ok := strings.Cut(s, status)
		if !ok {
			continue
		}
		line, rest, _ := strings.Cut(behind, "\r\n")
		for _, own := range []string{"Connection: close\r\n", "Connection: keep-alive\r\n"} {
			if after, ok := strings.CutPrefix(rest, own); ok {
				line, rest = line+"\r\n"+own[:len(own)-2], after
			}
		}
		return before + status + line + "\r\nDate: then\r\n" + rest
	}
	return s
}

// TestRelayed shows what a client gets for what an endpoint answered.
func TestRelayed(t *testing.T) {
	const get11 = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	const get10 = "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n"
	const keep10 = "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n"
	const head11 = "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	for _, tc := range []struct {
		name, sent, answer string
		closes             bool // the endpoint closes behind its answer
		want               string
		ends               bool // the client's connection ends
		reused             bool // the endpoint's connection is kept
	}{
		{"as it is", get11, "HTTP/1.1 200 Fine\r\nA: b\r\ncontent-length: 3\r\n\r\nabc", false,
			"HTTP/1.1 200 Fine\r\nA: b\r\ncontent-length: 3\r\n\r\nabc", false, true},
		{"hop-by-hop fields leave", get11, "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nX: 1\r\nConnection: keep-alive, x\r\nA: b\r\nContent-Length: 3\r\nProxy-Connection: x\r\n\r\nabc", false,
			"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc", false, true},
		{"the endpoint closes, the client stays", get11, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true,
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, false},
		{"the client closes, the endpoint stays", "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false,
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true, true},
		{"endpoint of 1.0", get11, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", true,
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, false},
		{"client of 1.0", get10, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false,
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true, true},
		{"client of 1.0 stays", keep10, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false,
			"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", false, true},
		{"chunked with trailers", get11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n", false, true},
		{"chunked for a client of 1.0", keep10, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde", true, true},
		{"until the end", get11, "HTTP/1.1 200 OK\r\nA: b\r\n\r\nabc", true,
			"HTTP/1.1 200 OK\r\nConnection: close\r\nA: b\r\n\r\nabc", true, false},
		{"HEAD", head11, "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", false, true},
		{"HEAD of chunked", head11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true},
		{"204", get11, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP/1.1 204 No Content\r\n\r\n", false, true},
		{"304", get11, "HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\n\r\n", false,
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\n\r\n", false, true},
		{"interim responses", get11, "HTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true},
		{"interim responses for 1.0", keep10, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false, true},
		{"more than announced", get11, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, false},
		{"large head", get11, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 50<<10) + "\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 50<<10) + "\r\nContent-Length: 0\r\n\r\n", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.answer, tc.want = dated(tc.answer), dated(tc.want)
			e := start(t, proxy.Options{}, proxy.Entrypoint{}, says(t, tc.answer, tc.closes))
			p := e.dial(t).say(tc.sent)
			got := make([]byte, len(tc.want))
			if _, err := io.ReadFull(p.Reader, got); err != nil || string(got) != tc.want {
				t.Fatalf("%v: got\n%q\nwant\n%q", err, got, tc.want)
			}
			if tc.ends {
				if more := p.rest(); more != "" {
					t.Errorf("then got %q", more)
				}
			} else if r, _ := p.say("GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n").hear("GET"); r.StatusCode != 404 {
				t.Errorf("then got %v", r)
			}
			if idle := e.Status().Backends[0].Endpoints[0].Idle; (idle == 1) != tc.reused {
				t.Errorf("%d idle connections", idle)
			}
		})
	}
}

// TestUnusable shows answers that end in 502, or are broken off.
func TestUnusable(t *testing.T) {
	for _, tc := range []struct{ name, answer string }{
		{"nothing", ""},
		{"half a head", "HTTP/1.1 200 OK\r\nA: b"},
		{"not HTTP", "hello\r\n\r\n"},
		{"length and coding", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"},
		{"malformed chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
		{"switched unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
		{"interim only", "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{"head without end", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 80<<10)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, proxy.Options{}, proxy.Entrypoint{}, says(t, tc.answer, true))
			p := e.dial(t).say(getRoot)
			r, _ := p.hear("GET")
			for r.StatusCode == 103 {
				r, _ = p.hear("GET")
			}
			if r.StatusCode != 502 {
				t.Errorf("got %v", r)
			}
		})
	}
	t.Run("bare line feeds, connection left open", func(t *testing.T) {
		ep := says(t, "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", false)
		e := start(t, proxy.Options{Policy: waits(time.Minute, short)}, proxy.Entrypoint{}, ep)
		if r, _ := e.dial(t).say(getRoot).hear("GET"); r.StatusCode != 502 {
			t.Errorf("got %v: what can never become a head was waited for", r)
		}
	})
	for name, answer := range map[string]string{
		"length":        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc",
		"chunked":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"spliced":       "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nabc",
		"torn chunking": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + strings.Repeat("1\r\nx\r\n", 20<<10) + "zz",
	} {
		t.Run("broken off: "+name, func(t *testing.T) {
			e := start(t, proxy.Options{}, proxy.Entrypoint{}, says(t, answer, true))
			p := e.dial(t).say(getRoot)
			r, err := http.ReadResponse(p.Reader, nil)
			if err == nil {
				_, err = io.ReadAll(r.Body)
			}
			if err == nil {
				t.Errorf("a torn body looks whole: %v", r)
			}
		})
	}
}

// TestReset shows that a body that ends with the connection does not look
// whole when the endpoint's end was a reset.
func TestReset(t *testing.T) {
	heard := make(chan bool)
	ep := script(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nabc")
		<-heard
		c.(*net.TCPConn).SetLinger(0)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t).say(getRoot)
	r, err := http.ReadResponse(p.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	heard <- true
	if b, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("got %q and an orderly end", b)
	}
}

func TestPipelining(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, b)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t)
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody", i)
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\r\n", i)
	}
	// In pieces that end anywhere.
	go func() {
		for s := all.String(); s != ""; {
			n := min(len(s), 333)
			io.WriteString(p.Conn, s[:n])
			s = s[n:]
		}
	}()
	for i := range 20 {
		for _, want := range []string{fmt.Sprintf("/%d body", i), fmt.Sprintf("/%d abc", i)} {
			if _, got := p.hear("POST"); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
}
