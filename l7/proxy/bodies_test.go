package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

// noise returns n bytes that are the same for the same seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// TestBodies carries bodies of all sizes both ways, with a length and chunked,
// through plain TCP and TLS.
func TestBodies(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Header.Get("Want") == "length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		}
		w.Header().Set("Trailer", "Sum")
		w.Write(b)
		w.Header().Set("Sum", fmt.Sprintf("%x", sha256.Sum256(b)))
	})
	for _, secure := range []bool{false, true} {
		var entry proxy.Entrypoint
		scheme := "http"
		server, config := certificate(t)
		if secure {
			entry.TLS, scheme = server, "https"
		}
		e := start(t, proxy.Options{}, entry, ep)
		c := client(t, config)
		for _, size := range []int{0, 1, 100, 3000, 4096, 33000, 70000, 1 << 20, 5<<20 + 1} {
			for _, length := range []string{"length", "chunked"} {
				t.Run(fmt.Sprint(scheme, " ", length, " ", size), func(t *testing.T) {
					sent := noise(byte(size), size)
					var body io.Reader = bytes.NewReader(sent)
					if length == "chunked" {
						body = io.MultiReader(body) // hides its length
					}
					r, err := http.NewRequest("POST", scheme+"://"+e.addr+"/", body)
					if err != nil {
						t.Fatal(err)
					}
					r.Host = "example.com"
					r.Header.Set("Want", length)
					resp, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					got, err := io.ReadAll(resp.Body)
					if err != nil || !bytes.Equal(got, sent) {
						t.Fatalf("%v: %d bytes of %d come back", err, len(got), len(sent))
					}
					if length == "chunked" && size > 3000 && resp.Trailer.Get("Sum") != fmt.Sprintf("%x", sha256.Sum256(sent)) {
						t.Errorf("trailer %q", resp.Trailer)
					}
				})
			}
		}
		e.settle(t)
		if s := e.Status().Backends[0].Endpoints[0]; s.Idle == 0 {
			t.Errorf("%+v", s)
		}
	}
}

// TestStreaming shows that nothing is held back: each side says a word only
// when it has heard one.
func TestStreaming(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200)
		rc.Flush()
		line := bufio.NewReader(r.Body)
		for {
			s, err := line.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, strings.ToUpper(s))
			rc.Flush()
		}
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
	r, err := http.ReadResponse(p.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(r.Body)
	for range 5 {
		p.say("6\r\nhello\n\r\n")
		if s, err := answer.ReadString('\n'); err != nil || s != "HELLO\n" {
			t.Fatalf("got %q, %v", s, err)
		}
	}
	p.say("0\r\n\r\n")
	if rest, err := io.ReadAll(answer); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

// TestEarlyResponse shows that an answer that comes before the body has been
// sent reaches the client, which may never send the rest.
func TestEarlyResponse(t *testing.T) {
	for name, closes := range map[string]bool{"closing": true, "staying": false} {
		t.Run(name, func(t *testing.T) {
			ep := says(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", closes)
			e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
			p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000000\r\n\r\nstart")
			r, body := p.hear("POST")
			if r.StatusCode != 413 || body != "no" || !r.Close {
				t.Fatalf("got %v %q", r, body)
			}
			p.Conn.(*net.TCPConn).CloseWrite()
			if s := p.rest(); s != "" {
				t.Errorf("then got %q", s)
			}
			if s := e.Status().Backends[0].Endpoints[0]; s.InFlight != 0 || s.Idle != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestUnwanted shows that an answer reaches a client that goes on sending a
// body which nobody reads.
func TestUnwanted(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, says(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", true))
	for host, want := range map[string]int{"example.com": 413, "nowhere": 404} {
		p := e.dial(t)
		p.say("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 200000\r\n\r\n")
		if _, err := p.Peek(1); err != nil { // the answer is there
			t.Fatal(err)
		}
		p.say(strings.Repeat("x", 100000)).say(strings.Repeat("x", 100000))
		if r, _ := p.hear("POST"); r.StatusCode != want {
			t.Errorf("got %v", r)
		}
		p.Conn.(*net.TCPConn).CloseWrite()
		if s := p.rest(); s != "" {
			t.Errorf("then got %q", s)
		}
	}
}

// TestBehindUpload shows that the next request is not lost that comes in one
// piece with the end of a body.
func TestBehindUpload(t *testing.T) {
	begun := make(chan bool, 2)
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		io.Copy(w, r.Body)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
	<-begun
	p.say("3\r\nabc\r\n0\r\n\r\n" + getRoot)
	if _, body := p.hear("POST"); body != "abc" {
		t.Errorf("got %q", body)
	}
	if r, _ := p.hear("GET"); r.StatusCode != 200 {
		t.Errorf("got %v", r)
	}
}

// TestExpect shows that the endpoint decides whether the body is sent.
func TestExpect(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(417)
			return
		}
		io.Copy(w, r.Body)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	const ask = " HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

	p := e.dial(t).say("PUT /yes" + ask)
	if r, _ := p.hear("PUT"); r.StatusCode != 100 {
		t.Fatalf("got %v", r)
	}
	if r, body := p.say("hello").hear("PUT"); r.StatusCode != 200 || body != "hello" {
		t.Fatalf("got %v %q", r, body)
	}
	p = e.dial(t) // the other may be over: the answer does not wait long for the last of a body
	if r, _ := p.say("PUT /no" + ask).hear("PUT"); r.StatusCode != 417 || !r.Close {
		t.Fatalf("got %v", r)
	}
}

// TestTornUpload shows that an endpoint never takes half a body for a whole
// one, and that a malformed one is told.
func TestTornUpload(t *testing.T) {
	whole, begun := make(chan error, 10), make(chan bool, 10)
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		_, err := io.ReadAll(r.Body)
		whole <- err
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	for _, coding := range []string{"Content-Length: 40000", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\n" + coding + "\r\n\r\n5\r\nhello\r\n")
		p.Conn.(*net.TCPConn).CloseWrite()
		if s := p.rest(); s != "" {
			t.Errorf("%s: got %q", coding, s)
		}
		if err := <-whole; err == nil {
			t.Errorf("%s: the endpoint saw a whole body", coding)
		}
		<-begun
	}
	p := e.dial(t).say("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	<-begun
	p.say("x\r\n")
	if s := p.rest(); !strings.HasPrefix(s, "HTTP/1.1 400 ") {
		t.Errorf("malformed: got %q", s)
	}
	if err := <-whole; err == nil {
		t.Error("malformed: the endpoint saw a whole body")
	}
}
