package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// A way is a kind of client and a kind of endpoint.
type way struct {
	front, back string
}

// The kinds of clients and endpoints.
var (
	fronts = []string{"HTTP/1.1", "HTTP/1.1 TLS", "HTTP/2", "HTTP/2 TLS", "HTTP/3"}
	backs  = []string{"HTTP/1.1", "HTTP/1.1 TLS", "HTTP/2", "HTTP/2 TLS"}
)

// everyWay runs test for every kind of client with every kind of endpoint.
func everyWay(t *testing.T, test func(*testing.T, way)) {
	for _, front := range fronts {
		for _, back := range backs {
			t.Run(front+" to "+back, func(t *testing.T) { test(t, way{front, back}) })
		}
	}
}

// A visitor is a client with the edge that it visits.
type visitor struct {
	*edge
	*http.Client
	base  string
	entry proxy.Entrypoint
	t     *testing.T
}

// visit runs an edge in front of endpoints, and returns a client of w's kind.
func (w way) visit(t *testing.T, o proxy.Options, addrs ...string) *visitor {
	t.Helper()
	if o.Policy == (backend.Policy{}) {
		o.Policy = backend.Default()
	}
	o.Policy.TLS.Insecure = true // what the endpoints show is not the subject
	var entry proxy.Entrypoint
	server, config := certificate(t)
	tr := &http.Transport{TLSClientConfig: config, DisableCompression: true, Protocols: new(http.Protocols)}
	v := &visitor{Client: &http.Client{Transport: tr, Timeout: 20 * time.Second}, base: "http://", t: t}
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch w.front {
	case "HTTP/1.1":
		tr.Protocols.SetHTTP1(true)
	case "HTTP/1.1 TLS":
		entry.TLS, v.base = server, "https://"
		tr.Protocols.SetHTTP1(true)
	case "HTTP/2":
		entry.H2C = true
		tr.Protocols.SetUnencryptedHTTP2(true)
	case "HTTP/2 TLS":
		server = server.Clone()
		server.NextProtos = []string{"h2", "http/1.1"}
		entry.TLS, v.base = server, "https://"
		tr.Protocols.SetHTTP2(true)
	}
	if w.front == "HTTP/3" {
		return w.visitHTTP3(t, o, addrs...)
	}
	v.edge, v.entry = start(t, o, entry), entry
	v.SetEndpoints(w.endpoints(addrs...))
	t.Cleanup(tr.CloseIdleConnections)
	v.base += v.addr
	return v
}

// request is one for example.com.
func (v *visitor) request(method, path string, body io.Reader) *http.Request {
	v.t.Helper()
	r, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Host = "example.com"
	return r
}

// do returns the response to r with its body.
func (v *visitor) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.Client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("%v after %d bytes", err, len(b))
	}
	return resp, string(b)
}

// endpoints are those of web, of w's kind.
func (w way) endpoints(addrs ...string) map[route.Backend][]route.Endpoint {
	m := endpoints(addrs...)
	for i := range m[web] {
		m[web][i].Protocol = map[string]route.Protocol{
			"HTTP/1.1": route.HTTP, "HTTP/1.1 TLS": route.HTTPS, "HTTP/2": route.H2C, "HTTP/2 TLS": route.H2,
		}[w.back]
	}
	return m
}

// endpoint runs an endpoint of w's kind.
func (w way) endpoint(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(strings.HasPrefix(w.back, "HTTP/1.1"))
	s.Config.Protocols.SetUnencryptedHTTP2(w.back == "HTTP/2")
	s.Config.Protocols.SetHTTP2(w.back == "HTTP/2 TLS")
	if strings.HasSuffix(w.back, "TLS") {
		s.EnableHTTP2 = w.back == "HTTP/2 TLS"
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// hideLength keeps net/http from knowing how long a body is.
func hideLength(r io.Reader) io.Reader { return io.MultiReader(r) }

func TestWaysOfBodies(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if r.Header.Get("Want") == "length" {
				rw.Header().Set("Content-Length", fmt.Sprint(len(b)))
			} else {
				rw.Header().Set("Trailer", "Sum, Heard")
			}
			rw.Write(b)
			rw.Header().Set("Sum", fmt.Sprintf("%x", sha256.Sum256(b)))
			rw.Header().Set("Heard", r.Trailer.Get("Said"))
		}))
		for _, size := range []int{0, 1, 100, 4096, 33000, 70000, 1 << 20, 5<<20 + 1} {
			for _, length := range []string{"length", "unknown"} {
				sent := noise(byte(size), size)
				var body io.Reader = bytes.NewReader(sent)
				if length == "unknown" {
					body = hideLength(body)
				}
				r := v.request("POST", "/", body)
				r.Header.Set("Want", length)
				if length == "unknown" {
					r.Trailer = http.Header{"Said": {"it"}}
				}
				resp, got := v.do(r)
				if resp.StatusCode != 200 || got != string(sent) {
					t.Fatalf("%s %d: got %d and %d bytes", length, size, resp.StatusCode, len(got))
				}
				if length == "length" {
					if resp.ContentLength != int64(size) {
						t.Errorf("%d: length %d", size, resp.ContentLength)
					}
				} else if resp.Trailer.Get("Sum") != fmt.Sprintf("%x", sha256.Sum256(sent)) || resp.Trailer.Get("Heard") != "it" {
					t.Errorf("%d: trailers %q", size, resp.Trailer)
				}
			}
		}
		v.settle(t)
		if s := v.Status(); s.Responses.Success != 16 || s.Requests != 16 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestWaysOfHeads shows what endpoints are told, and responses without bodies.
func TestWaysOfHeads(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			var status int
			if _, err := fmt.Sscanf(r.URL.Path, "/status/%d", &status); err == nil {
				rw.Header().Set("X-Method", r.Method)
				rw.Header()["Set-Cookie"] = []string{"a=b", "c=d"}
				rw.WriteHeader(status)
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
		}))
		scheme, _, _ := strings.Cut(v.base, "://")
		port := map[string]string{"http": "80", "https": "443"}[scheme]
		r := v.request("GET", "/a/./b?q=%20x", nil)
		r.Header = http.Header{
			"Accept": {"x"}, "User-Agent": {"t"}, "Cookie": {"a=b; c=d"}, "X-Many": {"1", "2"},
			"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Prefix": {"/evil"}, "X_forwarded_for": {"6.6.6.6"}, "Proxy": {"evil"},
		}
		_, got := v.do(r)
		want := "GET /a/b?q=%20x example.com\nAccept: x\nCookie: a=b; c=d\nUser-Agent: t\nX-Forwarded-For: 127.0.0.1\n" +
			"X-Forwarded-Host: example.com\nX-Forwarded-Port: " + port + "\nX-Forwarded-Proto: " + scheme + "\nX-Many: 1|2\nX-Real-Ip: 127.0.0.1\n"
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"} {
			for _, status := range []int{200, 204, 304, 301, 404, 500} {
				resp, body := v.do(v.request(method, fmt.Sprintf("/status/%d", status), nil))
				if resp.StatusCode != status || resp.Header.Get("X-Method") != method || body != "" ||
					!slices.Equal(resp.Header["Set-Cookie"], []string{"a=b", "c=d"}) {
					t.Errorf("%s %d: got %v %q", method, status, resp, body)
				}
			}
		}
		if resp, body := v.do(v.request("HEAD", "/", nil)); resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD: %v", resp)
		}
		v.settle(t)
	})
}

// TestWaysOfInterim shows that hints come before the response does.
func TestWaysOfInterim(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		release := make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</a>")
			rw.WriteHeader(103)
			<-release
			rw.Write([]byte("done"))
		}))
		hint := ""
		r := v.request("GET", "/", nil)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hint = fmt.Sprint(code, h.Get("Link"))
				close(release)
				return nil
			},
		}))
		if _, body := v.do(r); body != "done" || hint != "103</a>" {
			t.Errorf("got %q, hint %q", body, hint)
		}
	})
}

// TestWaysOfStreaming shows that nothing is held back: each side says a word
// only when it has heard one.
func TestWaysOfStreaming(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(rw)
			rc.EnableFullDuplex()
			rw.WriteHeader(200)
			rc.Flush()
			line := bufio.NewReader(r.Body)
			for {
				s, err := line.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(rw, strings.ToUpper(s))
				rc.Flush()
			}
		}))
		out, in := io.Pipe()
		resp, err := v.Client.Do(v.request("POST", "/", out))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer := bufio.NewReader(resp.Body)
		for range 5 {
			io.WriteString(in, "hello\n")
			if s, err := answer.ReadString('\n'); err != nil || s != "HELLO\n" {
				t.Fatalf("got %q, %v", s, err)
			}
		}
		in.Close()
		if rest, err := io.ReadAll(answer); err != nil || len(rest) > 0 {
			t.Errorf("got %q, %v", rest, err)
		}
		v.settle(t)
	})
}

// TestWaysOfEarlyResponse shows that an answer that comes before the body has
// been sent reaches the client.
func TestWaysOfEarlyResponse(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "2")
			rw.WriteHeader(413)
			io.WriteString(rw, "no")
			http.NewResponseController(rw).Flush()
		}))
		var much io.Reader = unending{}
		if strings.HasPrefix(w.front, "HTTP/1.1") {
			much = io.LimitReader(much, 150_000) // of which no end is seen before the answer
		}
		resp, body := v.do(v.request("POST", "/", much))
		if resp.StatusCode != 413 || body != "no" {
			t.Errorf("got %v %q", resp, body)
		}
		v.settle(t)
		if resp, _ := v.do(v.request("GET", "/", nil)); resp.StatusCode != 413 {
			t.Errorf("then got %v", resp)
		}
	})
}

// unending is a body without end.
type unending struct{}

func (unending) Read(p []byte) (int, error) { return len(p), nil }

func TestWaysOfExpect(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				rw.WriteHeader(417)
				return
			}
			io.Copy(rw, r.Body)
		}))
		if tr, ok := v.Transport.(*http.Transport); ok {
			tr.ExpectContinueTimeout = 5 * time.Second
		}
		for path, want := range map[string]int{"/yes": 200, "/no": 417} {
			r := v.request("PUT", path, strings.NewReader("hello"))
			r.Header.Set("Expect", "100-continue")
			if resp, body := v.do(r); resp.StatusCode != want || want == 200 && body != "hello" {
				t.Errorf("%s: got %v %q", path, resp, body)
			}
		}
	})
}

// TestWaysOfFailing shows what clients are told when there is no answer.
func TestWaysOfFailing(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{Policy: waits(time.Minute, short)}, closedPort(t))
		ask := func(host, path string, want int) {
			t.Helper()
			r := v.request("POST", path, strings.NewReader("abc"))
			r.Host = host
			resp, body := v.do(r)
			if resp.StatusCode != want || !strings.HasPrefix(body, fmt.Sprint(want, " ")) || resp.Header.Get("Date") == "" {
				t.Errorf("%s: got %v %q", path, resp, body)
			}
			if resp, body := v.do(v.request("HEAD", path, nil)); host == "example.com" && (resp.StatusCode != want || body != "") {
				t.Errorf("HEAD %s: got %v %q", path, resp, body)
			}
		}
		ask("nowhere", "/", 404)
		ask("a_b..c", "/", 400)
		ask("example.com", "/a%00", 400)
		ask("example.com", "/..%2fa", 400)
		ask("example.com", "/", 502)
		v.SetEndpoints(endpoints())
		ask("example.com", "/", 503)
		release := make(chan bool)
		v.SetEndpoints(w.endpoints(w.endpoint(t, func(http.ResponseWriter, *http.Request) { <-release })))
		ask("example.com", "/", 504)
		close(release)
		v.settle(t)
		r := v.request("TRACE", "/", nil)
		if resp, _ := v.do(r); resp.StatusCode != 501 {
			t.Errorf("TRACE: %v", resp)
		}
	})
}

// TestWaysOfBreaking shows that a torn response never looks whole, and a torn
// request neither.
func TestWaysOfBreaking(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		begun, whole := make(chan bool, 1), make(chan error, 1)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				begun <- true
				_, err := io.ReadAll(r.Body)
				whole <- err
				return
			}
			if r.URL.Path == "/length" {
				rw.Header().Set("Content-Length", "100")
			}
			io.WriteString(rw, "begin")
			http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}))
		for _, path := range []string{"/length", "/unknown"} {
			resp, err := v.Client.Do(v.request("GET", path, nil))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Errorf("%s: a torn response looks whole", path)
			}
		}
		r := v.request("POST", "/", hideLength(io.MultiReader(strings.NewReader("abc"), broken{begun})))
		if resp, err := v.Client.Do(r); err == nil {
			resp.Body.Close()
			t.Errorf("got %v", resp)
		}
		if err := <-whole; err == nil {
			t.Error("a torn request looks whole")
		}
		v.settle(t)
	})
}

// broken is a body that breaks when the endpoint reads it.
type broken struct{ begun chan bool }

func (b broken) Read([]byte) (int, error) {
	<-b.begun
	return 0, errors.New("broken")
}

// TestWaysOfLeaving shows that a client that gives up takes its request along.
func TestWaysOfLeaving(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		begun, gone := make(chan bool), make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/streams" {
				rw.WriteHeader(200)
				http.NewResponseController(rw).Flush()
			}
			begun <- true
			<-r.Context().Done()
			gone <- true
		}))
		for _, path := range []string{"/streams", "/silent"} {
			if path == "/silent" && strings.HasPrefix(w.front, "HTTP/1.1") {
				continue // seen only when something is written
			}
			ctx, leave := context.WithCancel(context.Background())
			go func() {
				<-begun
				leave()
			}()
			resp, err := v.Client.Do(v.request("GET", path, nil).WithContext(ctx))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Errorf("%s: got %v", path, resp)
			}
			if strings.HasPrefix(w.front, "HTTP/1.1") {
				v.stop() // nothing is written that would show it
			}
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: the endpoint goes on", path)
			}
		}
		v.settle(t)
	})
}

// TestWaysOfRetry shows that a connection that dies without a byte costs no
// request.
func TestWaysOfRetry(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		dies := script(t, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r) })
		lives := w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) { io.Copy(rw, r.Body) })
		v := w.visit(t, proxy.Options{}, dies, lives, closedPort(t))
		for i := range 20 {
			r := v.request("PUT", "/", strings.NewReader("abc"))
			if resp, body := v.do(r); resp.StatusCode != 200 || body != "abc" {
				t.Fatalf("%d: got %v %q", i, resp, body)
			}
		}
		if v.Status().Retries == 0 {
			t.Error("nothing was tried again")
		}
		v.settle(t)
	})
}

// TestWaysOfDraining shows that requests in flight end well.
func TestWaysOfDraining(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		begun, release := make(chan bool), make(chan bool)
		v := w.visit(t, proxy.Options{Drain: 10 * time.Second}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			begun <- true
			<-release
			io.WriteString(rw, "done")
		}))
		go func() {
			<-begun
			v.stop()
			close(release)
		}()
		if _, body := v.do(v.request("GET", "/", nil)); body != "done" {
			t.Errorf("got %q", body)
		}
		v.wait(t)
		if s := v.Status(); s.Connections != 0 || s.Backends[0].Endpoints[0].InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}
