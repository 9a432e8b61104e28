package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// A does is a step that does what it says.
type does func(context.Context, *middleware.Request) *middleware.Answer

func (does) Kind() string                               { return "test" }
func (d does) New(middleware.Env) middleware.Middleware { return d }

func (d does) Handle(ctx context.Context, r *middleware.Request) *middleware.Answer { return d(ctx, r) }

// A changes is a step whose routes' bodies may be transformed.
type changes struct{ does }

func (d changes) New(middleware.Env) middleware.Middleware { return d }
func (changes) Bodily()                                    {}

// through leads example.com to web by way of steps.
func (v *visitor) through(steps ...route.Step) *visitor {
	v.t.Helper()
	v.edge.through(v.t, steps...)
	return v
}

func (e *edge) through(t *testing.T, steps ...route.Step) {
	t.Helper()
	table, conflicts := route.NewTable([]route.Spec{{Host: "example.com", Path: "/", Backend: web, Steps: steps}})
	if conflicts != nil {
		t.Fatal(conflicts)
	}
	e.SetRoutes(table)
}

// tell answers with what the endpoint was told.
func tell(rw http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(rw, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
	var names []string
	for n := range r.Header {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(rw, "%s: %s\n", n, strings.Join(r.Header[n], "|"))
	}
	fmt.Fprintf(rw, "\n%s", b)
}

// TestChainSeesAndChangesRequests shows what middlewares see, and that the
// endpoint gets what they make of it.
func TestChainSeesAndChangesRequests(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		saw := make(chan middleware.Request, 1)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, tell)).through(does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
			seen := *r
			seen.Header = slices.Clone(r.Header)
			seen.Hops = slices.Clone(r.Hops)
			saw <- seen
			r.Path, r.Query, r.Authority = "/new"+r.Path, "?z=1", "other.example"
			r.Header.Set("X-Own", "2")
			r.Header.Del("accept")
			r.Header.Add("Connection", "close")
			r.Header.Add("Content-Length", "7")
			r.Header.Add("Transfer-Encoding", "identity")
			return nil
		}))
		r := v.request("POST", "/a/./b?q=%20x", strings.NewReader("body"))
		r.Header = http.Header{"Accept": {"x"}, "User-Agent": {"t"}, "X-Own": {"1"}, "X-Forwarded-For": {"6.6.6.6"}}
		_, got := v.do(r)
		seen := <-saw
		scheme, _, _ := strings.Cut(v.base, "://")
		port := map[string]string{"http": "80", "https": "443"}[scheme]
		length := ""
		if strings.HasPrefix(w.back, "HTTP/1.1") || strings.Contains(got, "Content-Length") {
			length = "Content-Length: 4\n"
		}
		want := "POST /new/a/b?z=1 other.example\n" + length + "User-Agent: t\nX-Forwarded-For: 127.0.0.1\n" +
			"X-Forwarded-Host: example.com\nX-Forwarded-Port: " + port + "\nX-Forwarded-Proto: " + scheme + "\nX-Own: 2\nX-Real-Ip: 127.0.0.1\n\nbody"
		if got != want {
			t.Errorf("the endpoint got\n%s\nwant\n%s", got, want)
		}
		if seen.Method != "POST" || seen.Path != "/a/b" || seen.Query != "?q=%20x" || seen.Host != "example.com" || seen.Authority != "example.com" ||
			seen.Header.Get("X-Forwarded-For") != "127.0.0.1" || seen.Header.Get("Accept") != "x" || seen.Header.Has("Content-Length") || seen.Header.Has("Host") ||
			seen.Client.String() != "127.0.0.1" || seen.Peer != seen.Client || len(seen.Hops) != 1 || seen.Scheme != scheme ||
			seen.Length != 4 || seen.Upgrade || seen.GRPC || seen.Begun.IsZero() || seen.Port == 0 {
			t.Errorf("a middleware saw %+v", seen)
		}
	})
}

// TestChainAnswers shows that an answer of a middleware goes to the client, by
// way of those before it, and that all of those are told of the end.
func TestChainAnswers(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		done := make(chan middleware.Outcome, 10)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(http.ResponseWriter, *http.Request) { t.Error("an endpoint was asked") })).through(
			does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
				r.OnResponse(func(w *middleware.Response) {
					w.Header.Set("X-Before", fmt.Sprint(w.Status, w.Ours, w.Length))
				})
				r.OnDone(func(o middleware.Outcome) { done <- o })
				return nil
			}),
			does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
				switch r.Path {
				case "/redirect":
					return &middleware.Answer{Status: 308, Header: middleware.Header{{Name: "Location", Value: "/x"}}, Body: []byte{}}
				case "/empty":
					return &middleware.Answer{Status: 204}
				}
				return &middleware.Answer{Status: 403, Reason: "not from there", Header: middleware.Header{{Name: "X-A", Value: "b"}}}
			}),
			does(func(context.Context, *middleware.Request) *middleware.Answer {
				t.Error("a middleware behind the answer was asked")
				return nil
			}))
		for _, tc := range []struct {
			method, path string
			status       int
			body, before string
		}{
			{"GET", "/", 403, "403 Forbidden: not from there\n", "403 true 30"},
			{"HEAD", "/", 403, "", "403 true 30"},
			{"POST", "/", 403, "403 Forbidden: not from there\n", "403 true 30"},
			{"GET", "/redirect", 308, "", "308 true 0"},
			{"GET", "/empty", 204, "", "204 true 0"},
		} {
			var body io.Reader
			if tc.method == "POST" {
				body = strings.NewReader("hello")
			}
			resp, got := v.do(v.request(tc.method, tc.path, body))
			if resp.StatusCode != tc.status || got != tc.body || resp.Header.Get("X-Before") != tc.before || resp.Header.Get("Date") == "" {
				t.Errorf("%s %s: got %v %q", tc.method, tc.path, resp, got)
			}
			if tc.status == 403 && (resp.Header.Get("X-A") != "b" || resp.ContentLength != 30) {
				t.Errorf("%s %s: got %v", tc.method, tc.path, resp)
			}
			if tc.status == 308 && resp.Header.Get("Location") != "/x" {
				t.Errorf("%s %s: got %v", tc.method, tc.path, resp)
			}
			if o := <-done; o.Status != tc.status || o.Forwarded || o.Failed || o.Duration <= 0 {
				t.Errorf("%s %s: outcome %+v", tc.method, tc.path, o)
			}
		}
		if len(done) != 0 {
			t.Error("told twice")
		}
	})
}

// TestChainSeesResponses shows that middlewares see and change the head of an
// endpoint's response, and can put another one in its place.
func TestChainSeesResponses(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		done := make(chan middleware.Outcome, 10)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			rw.Header()["Set-Cookie"] = []string{"a=b", "c=d"}
			rw.Header().Set("X-Server", "secret")
			switch r.URL.Path {
			case "/long":
				rw.Header().Set("Content-Length", "100000")
				rw.Write(make([]byte, 100000))
			case "/bad":
				rw.WriteHeader(500)
				io.WriteString(rw, "a stack trace")
			case "/stream":
				rw.Header().Set("Trailer", "Sum")
				rw.Write(make([]byte, 100000))
				rw.Header().Set("Sum", "1")
			default:
				io.WriteString(rw, "hello")
			}
		})).through(does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
			r.OnDone(func(o middleware.Outcome) { done <- o })
			r.OnResponse(func(w *middleware.Response) {
				if w.Header.Has("Content-Length") || w.Header.Has("Transfer-Encoding") {
					t.Errorf("sees the framing: %v", w.Header)
				}
				w.Header.Del("x-server")
				w.Header.Add("X-Saw", fmt.Sprint(w.Status, w.Ours, len(w.Header.Values("set-cookie"))))
				w.Header.Set("Content-Length", "3")
			})
			return nil
		}), does(func(_ context.Context, r *middleware.Request) *middleware.Answer {
			r.OnResponse(func(w *middleware.Response) {
				if w.Status == 500 {
					w.Replace(&middleware.Answer{Status: 500, Header: middleware.Header{{Name: "Content-Type", Value: "text/html"}}, Body: []byte("<p>sorry")})
				}
			})
			return nil
		}))
		for _, tc := range []struct {
			method, path string
			status, size int
			saw          string
		}{
			{"GET", "/", 200, 5, "200 false 2"},
			{"HEAD", "/", 200, 0, "200 false 2"},
			{"POST", "/", 200, 5, "200 false 2"},
			{"GET", "/long", 200, 100000, "200 false 2"},
			{"GET", "/stream", 200, 100000, "200 false 2"},
			{"GET", "/bad", 500, 8, "500 true 0"},
			{"GET", "/", 200, 5, "200 false 2"},
		} {
			resp, got := v.do(v.request(tc.method, tc.path, strings.NewReader("")))
			if resp.StatusCode != tc.status || len(got) != tc.size || resp.Header.Get("X-Saw") != tc.saw || resp.Header.Get("X-Server") != "" {
				t.Errorf("%s %s: got %v, %d bytes", tc.method, tc.path, resp, len(got))
			}
			if tc.path == "/bad" && (got != "<p>sorry" || resp.Header.Get("Set-Cookie") != "") {
				t.Errorf("%s %s: got %v %q", tc.method, tc.path, resp, got)
			}
			if tc.path == "/stream" && resp.Trailer.Get("Sum") != "1" {
				t.Errorf("trailers %v", resp.Trailer)
			}
			if o := <-done; o.Status != tc.status || !o.Forwarded || o.Endpoint <= 0 {
				t.Errorf("%s %s: outcome %+v", tc.method, tc.path, o)
			}
		}
		v.settle(t)
	})
}

// TestChainTransforms shows that bodies can be made other ones, that what the
// endpoint says is passed on when it pauses, and that ends are ends.
func TestChainTransforms(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		goOn := make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			switch r.URL.Path {
			case "/pause":
				io.WriteString(rw, "first")
				rw.(http.Flusher).Flush()
				<-goOn
				io.WriteString(rw, "second")
			case "/none":
				rw.WriteHeader(204)
			default:
				rw.Header().Set("Content-Length", "100000")
				rw.Write(bytes.Repeat([]byte("a"), 100000))
			}
		})).through(changes{func(_ context.Context, r *middleware.Request) *middleware.Answer {
			r.OnResponse(func(w *middleware.Response) {
				w.Header.Set("X-Changed", "1")
				w.Transform(func(w middleware.Writer) middleware.Writer { return &upper{w: w, end: "!"} })
				w.Transform(func(w middleware.Writer) middleware.Writer { return &upper{w: w, end: "?"} })
			})
			return nil
		}})
		for _, tc := range []struct{ method, path, want string }{
			{"GET", "/", strings.Repeat("A", 100000) + "!?"},
			{"POST", "/", strings.Repeat("A", 100000) + "!?"},
			{"HEAD", "/", ""},
			{"GET", "/none", ""},
		} {
			resp, got := v.do(v.request(tc.method, tc.path, nil))
			if got != tc.want || resp.Header.Get("X-Changed") != "1" || resp.ContentLength > 0 {
				t.Errorf("%s %s: got %v, %d bytes", tc.method, tc.path, resp, len(got))
			}
		}
		resp, err := v.Client.Do(v.request("GET", "/pause", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		buf := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "FIRST" {
			t.Fatalf("got %q, %v", buf, err)
		}
		close(goOn)
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "SECOND!?" {
			t.Errorf("got %q, %v", rest, err)
		}
		v.settle(t)
	})
}

// upper makes small letters large ones. It holds all until it is flushed or
// closed.
type upper struct {
	w    middleware.Writer
	held []byte
	end  string
}

func (u *upper) Write(p []byte) (int, error) {
	u.held = append(u.held, bytes.ToUpper(p)...)
	return len(p), nil
}

func (u *upper) send() error {
	_, err := u.w.Write(u.held)
	u.held = nil
	return err
}

func (u *upper) Flush() error {
	if err := u.send(); err != nil {
		return err
	}
	return u.w.Flush()
}

func (u *upper) Close() error {
	u.held = append(u.held, u.end...)
	if err := u.send(); err != nil {
		return err
	}
	return u.w.Close()
}
