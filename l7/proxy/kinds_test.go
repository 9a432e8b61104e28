package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// helper is a backend that middlewares ask.
var helper = route.Backend{Namespace: "default", Service: "helper", Port: "80"}

// withHelper gives helper an endpoint, and web those at addrs.
func (v *visitor) withHelper(w way, h http.HandlerFunc, addrs ...string) *visitor {
	all := w.endpoints(addrs...)
	all[helper] = w.endpoints(w.endpoint(v.t, h))[web]
	v.SetEndpoints(all)
	return v
}

func decoded(t *testing.T, encoding string, from io.Reader) io.Reader {
	t.Helper()
	var err error
	switch encoding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
	default:
		t.Fatalf("encoding %q", encoding)
	}
	if err != nil {
		t.Fatal(err)
	}
	return from
}

// decodedOr is the body of resp, encoded or not.
func decodedOr(t *testing.T, resp *http.Response, body string) io.Reader {
	t.Helper()
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" {
		return decoded(t, encoding, strings.NewReader(body))
	}
	return strings.NewReader(body)
}

// TestKindCompress shows that bodies come whole and events at once.
func TestKindCompress(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		body := strings.Repeat("all work and no play ", 50_000)
		next := make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			switch r.URL.Path {
			case "/long":
				rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
				rw.Header().Set("ETag", `"1"`)
				io.WriteString(rw, body)
			case "/short":
				io.WriteString(rw, "short")
			case "/events":
				for i := range 3 {
					fmt.Fprintf(rw, "event %d\n", i)
					rw.(http.Flusher).Flush()
					if !<-next {
						return
					}
				}
			}
		})).through(middleware.Compress{})
		for _, encoding := range []string{"gzip", "br", "zstd"} {
			for _, method := range []string{"GET", "HEAD"} {
				r := v.request(method, "/long", nil)
				r.Header.Set("Accept-Encoding", encoding)
				resp, got := v.do(r)
				if resp.Header.Get("Vary") != "Accept-Encoding" || method == "HEAD" && got != "" {
					t.Errorf("%s %s: %v, %d bytes", method, encoding, resp.Header, len(got))
				}
				if method == "HEAD" {
					continue
				}
				if b, err := io.ReadAll(decoded(t, resp.Header.Get("Content-Encoding"), strings.NewReader(got))); string(b) != body || err != nil || len(got) > 50_000 {
					t.Errorf("%s: %d bytes became %d, %v", encoding, len(got), len(b), err)
				}
				if resp.Header.Get("ETag") != `W/"1"` {
					t.Errorf("%s: %v", encoding, resp.Header)
				}
			}
			r := v.request("GET", "/events", nil)
			r.Header.Set("Accept-Encoding", encoding)
			resp, err := v.Client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			events := bufio.NewReader(decoded(t, resp.Header.Get("Content-Encoding"), resp.Body))
			for i := range 3 {
				if line, err := events.ReadString('\n'); line != fmt.Sprintf("event %d\n", i) {
					t.Errorf("%s: event %d is %q, %v", encoding, i, line, err)
				}
				next <- true
			}
			resp.Body.Close()
		}
		if resp, got := v.do(v.request("GET", "/long", nil)); got != body || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%d bytes, %v for who takes no encoding", len(got), resp.Header)
		}
	})
}

// TestKindForwardAuth shows who passes, whose body is whole then, and what comes
// of a service without endpoints.
func TestKindForwardAuth(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		addr := w.endpoint(t, tell)
		v := w.visit(t, proxy.Options{}).withHelper(w, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") != "session=1" {
				rw.Header().Set("WWW-Authenticate", "Sesame")
				rw.WriteHeader(http.StatusUnauthorized)
			}
			rw.Header().Set("X-User", "ann")
			fmt.Fprint(rw, r.Method, " ", r.Host, r.RequestURI, " ", r.Header.Get("X-Forwarded-Method"), " ", r.Header.Get("X-Forwarded-Uri"))
		}, addr).through(middleware.ForwardAuth{URL: "http://helper.default.svc/check?a", Backend: helper, ResponseHeaders: []string{"X-User"}})
		for range 3 {
			r := v.request("POST", "/in?b", strings.NewReader("a body"))
			r.Header.Set("X-User", "admin")
			resp, got := v.do(r)
			if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Sesame" || got != "GET helper.default.svc/check?a POST /in?b" {
				t.Fatalf("%d %v %q", resp.StatusCode, resp.Header, got)
			}
			r = v.request("POST", "/in?b", strings.NewReader("a body"))
			r.Header = http.Header{"X-User": {"admin"}, "X_user": {"admin"}, "Cookie": {"session=1"}}
			if resp, got = v.do(r); resp.StatusCode != 200 || !strings.Contains(got, "X-User: ann\n") || strings.Contains(got, "admin") || !strings.HasSuffix(got, "a body") {
				t.Fatalf("%d %q", resp.StatusCode, got)
			}
		}
		v.SetEndpoints(w.endpoints(addr))
		r := v.request("GET", "/", nil)
		r.Header.Set("Cookie", "session=1")
		if resp, got := v.do(r); resp.StatusCode != 500 {
			t.Errorf("%d %q without a service", resp.StatusCode, got)
		}
	})
}

// TestKindErrorPages shows pages for an endpoint's errors and for ours.
func TestKindErrorPages(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		addr := w.endpoint(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusTeapot)
			rw.Write(bytes.Repeat([]byte("tea "), 100_000))
		})
		page := func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, "sorry: ", r.RequestURI, r.Header["Authorization"], r.Header["Cookie"])
		}
		v := w.visit(t, proxy.Options{}).withHelper(w, page, addr).through(
			middleware.ErrorPages{Statuses: []middleware.Statuses{{From: 418, To: 503}}, Backend: helper, Query: "/{status}.html"}, middleware.Compress{Least: 1})
		for _, want := range []int{418, 418, 503} {
			if want == 503 {
				v.withHelper(w, page) // web has no endpoint
			}
			r := v.request("GET", "/", nil)
			r.SetBasicAuth("a", "b")
			r.Header.Set("Cookie", "c=d")
			resp, got := v.do(r)
			if resp.StatusCode != want || got != fmt.Sprintf("sorry: /%d.html[] []", want) {
				t.Fatalf("%d %.200q, want %d and a page", resp.StatusCode, got, want)
			}
			resp, got = v.do(v.request("HEAD", "/", nil))
			if resp.StatusCode != want || got != "" {
				t.Fatalf("HEAD: %d %q", resp.StatusCode, got)
			}
		}
	})
}

// TestKindsTakeBodies shows that what comes in pieces, some with the head, is
// sent once and whole where the response is transformed.
func TestKindsTakeBodies(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		if w.front != "HTTP/1.1" {
			t.Skip("no pieces there")
		}
		v := w.visit(t, proxy.Options{}, w.endpoint(t, tell)).through(middleware.Compress{})
		for _, body := range []string{"hello", strings.Repeat("0123456789", 1000)} {
			for _, pieces := range []int{1, 2, 3} {
				for _, head := range []string{"Transfer-Encoding: chunked", fmt.Sprint("Content-Length: ", len(body))} {
					coded := body
					if strings.HasPrefix(head, "T") {
						coded = fmt.Sprintf("2\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", body[:2], len(body)-2, body[2:])
					}
					text := "POST / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n" + head + "\r\n\r\n"
					// The first piece goes with the head, whole or but for the end.
					text += coded[:len(coded)/pieces]
					coded = coded[len(coded)/pieces:]
					p := v.dial(t).say(text)
					for len(coded) > 0 {
						n := min(len(coded), max(2, len(coded)/2))
						p.say(coded[:n])
						coded = coded[n:]
					}
					resp, got := p.hear("POST")
					b, err := io.ReadAll(decodedOr(t, resp, got))
					if _, echo, _ := strings.Cut(string(b), "\n\n"); echo != body || err != nil {
						t.Errorf("%s, %d bytes in %d pieces: %d, %d bytes came, %v", head, len(body), pieces, resp.StatusCode, len(echo), err)
					}
				}
			}
		}
	})
}

// TestKindBuffering shows both bounds, of bodies with and without a length.
func TestKindBuffering(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if r.URL.Path == "/" {
				rw.Header().Set("Content-Length", fmt.Sprint(10*len(b)))
			}
			rw.Write(bytes.Repeat(b, 10))
		})).through(middleware.Buffering{RequestMost: 1000, ResponseMost: 9000})
		for _, tc := range []struct {
			path   string
			n      int
			length bool
			want   int // status; 0: it breaks off
		}{
			{"/", 900, true, 200}, {"/", 900, false, 200}, {"/", 901, true, 500}, {"/", 1001, true, 413}, {"/", 1001, false, 413}, {"/", 100_000, false, 413},
			{"/stream", 900, true, 200}, {"/stream", 901, true, 0},
		} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", tc.n))
			if !tc.length {
				body = hideLength(body)
			}
			status, n, err := v.outcome(v.request("POST", tc.path, body))
			if status != tc.want || status == 200 && n != 10*tc.n {
				t.Errorf("%s with %d bytes (%v): %d and %d bytes, %v, want %d", tc.path, tc.n, tc.length, status, n, err, tc.want)
			}
		}
	})
}

// outcome is the status and the length of the response to r, 0 where it breaks
// off.
func (v *visitor) outcome(r *http.Request) (status, n int, err error) {
	resp, err := v.Client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, len(b), err
	}
	return resp.StatusCode, len(b), nil
}

// TestKindCircuitBreaker shows that endpoints are left alone.
func TestKindCircuitBreaker(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		var asked atomic.Int32
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			rw.WriteHeader(http.StatusInternalServerError)
		})).through(middleware.CircuitBreaker{Expression: "ResponseCodeRatio(500, 600, 0, 600) > 0.5"})
		for range 100 { // it opens a moment after the response that has it open
			resp, got := v.do(v.request("GET", "/", nil))
			if resp.StatusCode == 500 {
				continue
			}
			if after := resp.Header["Retry-After"]; resp.StatusCode != 503 || len(after) != 1 || after[0] != "10" {
				t.Errorf("%d %v %q", resp.StatusCode, resp.Header, got)
			}
			break
		}
		was := asked.Load()
		if resp, _ := v.do(v.request("GET", "/", nil)); resp.StatusCode != 503 || asked.Load() != was || was == 100 {
			t.Errorf("%d, asked %d times, before %d", resp.StatusCode, asked.Load(), was)
		}
	})
}
