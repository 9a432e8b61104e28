package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// shadow is the backend that gets copies.
var shadow = route.Backend{Namespace: "default", Service: "shadow", Port: "80"}

// mirror has all requests copied to shadow.
func mirror(body int64) middleware.Mirror {
	return middleware.Mirror{To: shadow, Percent: 100, Body: body}
}

// slow is options of an edge whose stop waits for those who are slow.
func slow() proxy.Options { return proxy.Options{Drain: 20 * time.Second} }

// copies returns what shadow has got so far.
func (e *edge) copies() (c backend.CopyStatus) {
	for _, b := range e.Status().Backends {
		if b.Backend == shadow && b.Copies != nil {
			c = *b.Copies
		}
	}
	return c
}

// mirrored returns the same once n copies have ended.
func (e *edge) mirrored(t *testing.T, n uint64) (c backend.CopyStatus) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if c = e.copies(); c.InFlight == 0 && c.Answered+c.Failed+c.Unfit+c.Dropped >= n {
			return c
		}
	}
	t.Fatalf("mirror has %+v, want %d ended", c, n)
	return c
}

// A copied is what an endpoint has seen of a request.
type copied struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// recorder is a handler that keeps what it sees.
func recorder(to chan<- copied, answer func(http.ResponseWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := r.Header.Clone()
		h.Del("Content-Length") // of a body that streams to the one alone
		to <- copied{r.Method, r.RequestURI, r.Host, string(b), h}
		answer(w)
	}
}

func TestMirrorGetsCopies(t *testing.T) {
	const most = 200 << 10
	everyWay(t, func(t *testing.T, w way) {
		first, second := make(chan copied, 1), make(chan copied, 1)
		v := w.visit(t, slow()).through(mirror(most))
		eps := w.endpoints(w.endpoint(t, recorder(first, func(rw http.ResponseWriter) { io.WriteString(rw, "first") })))
		eps[shadow] = w.endpoints(w.endpoint(t, recorder(second, func(rw http.ResponseWriter) {
			rw.Header().Set("Set-Cookie", "a=b")
			rw.WriteHeader(500)
			rw.Write(make([]byte, 2<<20)) // more than anybody reads
		})))[web]
		v.SetEndpoints(eps)
		var ended uint64
		for _, tc := range []struct {
			method  string
			size    int
			streams bool
			fits    bool
		}{
			{"GET", 0, false, true},
			{"POST", 0, false, true},
			{"POST", 100, false, true},
			{"PUT", 20 << 10, false, true},
			{"PUT", 100 << 10, false, true},
			{"POST", most, false, true},
			{"POST", most + 1, false, false},
			{"POST", 1, true, true},
			{"POST", 100 << 10, true, true},
			{"POST", most, true, true},
			{"POST", most + 1, true, false},
			{"POST", 4 * most, true, false},
		} {
			body := strings.Repeat("0123456789abcdef", tc.size/16+1)[:tc.size]
			var reader io.Reader = strings.NewReader(body)
			if tc.streams {
				reader = hideLength(reader)
			} else if tc.size == 0 {
				reader = nil
			}
			r := v.request(tc.method, "/a/../b?c=d", reader)
			r.Header.Set("X-Forwarded-For", "203.0.113.1")
			r.Header.Set("Keep-Alive", "1")
			if w.front != "HTTP/1.1" && w.front != "HTTP/1.1 TLS" {
				r.Header.Del("Keep-Alive")
			}
			r.Header.Set("X-Own", "kept")
			before := v.mirrored(t, ended)
			ended++
			resp, got := v.do(r)
			if resp.StatusCode != 200 || got != "first" || len(resp.Cookies()) != 0 {
				t.Fatalf("%+v: the client got %d %q", tc, resp.StatusCode, got)
			}
			want := <-first
			if want.Body != body || want.URI != "/b?c=d" || want.Header.Get("X-Forwarded-For") != "127.0.0.1" {
				t.Fatalf("%+v: the endpoint got %s %s, %d bytes", tc, want.Method, want.URI, len(want.Body))
			}
			after := v.mirrored(t, ended)
			if !tc.fits {
				if after.Unfit != before.Unfit+1 || after.Answered != before.Answered {
					t.Fatalf("%+v: %+v, before %+v", tc, after, before)
				}
				continue
			}
			if after.Answered != before.Answered+1 {
				t.Fatalf("%+v: %+v, before %+v", tc, after, before)
			}
			if diff := cmp.Diff(want, <-second); diff != "" {
				t.Errorf("%+v: the mirror got something else: %s", tc, diff)
			}
		}
		if s := v.Status(); s.Responses.ServerError != 0 || s.Responses.Success != ended || s.Requests != ended {
			t.Errorf("copies are counted: %+v", s)
		}
	})
}

// TestMirrorBodies sends bodies in ways that net/http does not.
func TestMirrorBodies(t *testing.T) {
	got := make(chan copied, 1)
	e := start(t, slow(), proxy.Entrypoint{})
	e.through(t, mirror(1000))
	eps := endpoints(handler(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	eps[shadow] = endpoints(handler(t, recorder(got, func(http.ResponseWriter) {})))[web]
	e.SetEndpoints(eps)
	const head = "POST / HTTP/1.1\r\nHost: example.com\r\n"
	var ended uint64
	for _, tc := range []struct{ name, request, rest, want string }{
		{"chunks with the head", head + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n", "", "abcde"},
		{"chunks in halves", head + "Transfer-Encoding: chunked\r\n\r\n3\r\na", "bc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
		{"no chunk", head + "Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", ""},
		{"expected", head + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc", "abc"},
		{"pipelined", head + "Content-Length: 3\r\n\r\nabcGET /two HTTP/1.1\r\n", "Host: example.org\r\n\r\n", "abc"},
	} {
		p := e.dial(t).say(tc.request)
		if tc.rest != "" {
			if strings.Contains(tc.request, "Expect") {
				if r, _ := p.hear("POST"); r.StatusCode != 100 {
					t.Fatalf("%s: %d", tc.name, r.StatusCode)
				}
			}
			p.say(tc.rest)
		}
		if r, _ := p.hear("POST"); r.StatusCode != 200 {
			t.Fatalf("%s: %d", tc.name, r.StatusCode)
		}
		ended++
		if m := e.mirrored(t, ended); m.Answered != ended {
			t.Fatalf("%s: %+v", tc.name, m)
		}
		if c := <-got; c.Body != tc.want || c.Header.Get("Expect") != "" {
			t.Errorf("%s: the mirror got %q %v", tc.name, c.Body, c.Header)
		}
	}
	// Of these there is no copy.
	p := e.dial(t).say(head + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
	p.hear("POST")
	if r, _ := p.say("3\r\nabc\r\nx\r\n").hear("POST"); r.StatusCode != 400 {
		t.Error(r.StatusCode)
	}
	e.dial(t).say(head + "Content-Length: 900\r\nExpect: 100-continue\r\n\r\n").Close()
	e.dial(t).say("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").hear("GET")
	if m := e.mirrored(t, ended+3); m.Answered != ended || m.Unfit != 3 {
		t.Errorf("%+v", m)
	}
}

// TestMirrorInTrouble loads an edge whose mirror is ill, and shows that no
// client notices, and no stop.
func TestMirrorInTrouble(t *testing.T) {
	const clients, each = 16, 20
	// Who waited for such a mirror would wait for a minute, and for the drain 20s:
	// less than that is soon, however busy the machine is.
	const soon = 15 * time.Second
	for name, ill := range map[string]func(*testing.T) string{
		"dead": func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return l.Addr().String()
		},
		"slow": func(t *testing.T) string {
			return handler(t, func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
				<-r.Context().Done()
			})
		},
		"silent": func(t *testing.T) string {
			return script(t, func(_ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
		},
		"deaf": func(t *testing.T) string {
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			return script(t, func(net.Conn, *bufio.Reader) { <-over })
		},
		"endless": func(t *testing.T) string {
			return handler(t, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 32<<10)); err != nil {
						return
					}
					w.(http.Flusher).Flush()
				}
			})
		},
		"unknown": func(*testing.T) string { return "" },
	} {
		for _, front := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(name+" "+front, func(t *testing.T) {
				w := way{front, "HTTP/1.1"}
				v := w.visit(t, slow()).through(mirror(64 << 10))
				eps := w.endpoints(w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
					b, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					rw.Write(b)
				}))
				if addr := ill(t); addr != "" {
					eps[shadow] = w.endpoints(addr)[web]
				}
				v.SetEndpoints(eps)
				held := name == "slow" || name == "silent" || name == "deaf"
				var group sync.WaitGroup
				for i := range clients {
					group.Go(func() {
						for j := range each {
							body := strings.Repeat("x", (i+j)%4*15_000)
							begin := time.Now()
							r, err := v.Client.Do(v.request("PUT", fmt.Sprintf("/%d/%d", i, j), strings.NewReader(body)))
							if err != nil {
								t.Error(err)
								return
							}
							got, err := io.ReadAll(r.Body)
							r.Body.Close()
							if err != nil || r.StatusCode != 200 || len(got) != len(body) {
								t.Errorf("%d, %d of %d bytes, %v", r.StatusCode, len(got), len(body), err)
							}
							if d := time.Since(begin); d > soon && held {
								t.Errorf("took %v", d)
							}
						}
					})
				}
				group.Wait()
				m := v.copies()
				if m.InFlight > 128 || m.Unfit != 0 || held && m.Dropped == 0 {
					t.Errorf("%+v", m)
				}
				v.CloseIdleConnections()
				begin := time.Now()
				v.stop()
				v.wait(t)
				if d := time.Since(begin); d > soon {
					t.Errorf("the stop took %v", d)
				}
				m = v.mirrored(t, clients*each)
				if all := m.Answered + m.Failed + m.Dropped; all != clients*each || name == "endless" && m.Answered == 0 {
					t.Errorf("%+v", m)
				}
			})
		}
	}
}

// TestMirrors: a copy goes to each of several, has what the middlewares behind
// the mirror have done, and there is none of what one of them answers.
func TestMirrors(t *testing.T) {
	first, second := make(chan copied, 1), make(chan copied, 1)
	e := start(t, slow(), proxy.Entrypoint{})
	e.through(t, mirror(10), middleware.Rewrite{StripPrefix: []string{"/app"}},
		middleware.Mirror{To: helper, Percent: 100, Body: 100}, middleware.Redirect{From: "/old", To: "/new"})
	eps := endpoints(handler(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	eps[shadow] = endpoints(handler(t, recorder(first, func(http.ResponseWriter) {})))[web]
	eps[helper] = endpoints(handler(t, recorder(second, func(http.ResponseWriter) {})))[web]
	e.SetEndpoints(eps)
	ask := func(path, body string, want int) {
		t.Helper()
		p := e.dial(t).say(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n", path))
		if want == 200 {
			p.say(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
		}
		if r, _ := p.hear("POST"); r.StatusCode != want {
			t.Fatalf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	ask("/app/x", "short", 200)
	for name, got := range map[string]copied{"first": <-first, "second": <-second} {
		if got.URI != "/x" || got.Body != "short" {
			t.Errorf("the %s mirror got %s %q", name, got.URI, got.Body)
		}
	}
	ask("/old", "", 307)
	ask("/app/y", "longer than the first one wants", 200)
	if got := <-second; got.URI != "/y" {
		t.Errorf("the second mirror got %s", got.URI)
	}
	if c := e.mirrored(t, 2); c.Answered != 1 || c.Unfit != 1 {
		t.Errorf("the first mirror has %+v", c)
	}
}
