package admin_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
)

const token = "0123456789abcdef0123"

type order struct {
	Target string `json:"target"`
}

// listening runs a Web with an API of each kind of route, and returns where.
func listening(t *testing.T, c admin.WebConfig) (w *admin.Web, base string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	api := admin.NewAPI(log)
	admin.HandleGet(api, "/api/v1/x", "Reads.", func(*http.Request) (order, error) { return order{"x"}, nil })
	admin.HandleQuestion(api, "/api/v1/ask", "Asks.", func(_ context.Context, o order) (order, error) { return o, nil })
	admin.HandleOrder(api, "/api/v1/do", "Orders.", func(context.Context, order) error { return nil })
	api.Handle("/metrics", "Samples.", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w = admin.NewWeb(log, api, nil)
	c.Listen = freeAddress(t)
	w.Set(c)
	run(t, w.Run)
	answering(t, c.Listen)
	return w, c.Listen
}

// run runs a part until the end of the test.
func run(t *testing.T, part func(context.Context, func()) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- part(ctx, func() {}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answering waits until somebody listens at address.
func answering(t *testing.T, address string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatal(err)
		}
	}
}

// send returns status and body of the answer to a request with fields, which are
// name and value by turns.
func send(t *testing.T, method, url, body string, fields ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
		}
		r.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), resp.Header
}

// TestWebTrust is who may do what.
func TestWebTrust(t *testing.T) {
	const json, bearer = "application/json", "Bearer " + token
	for _, c := range []struct {
		name, method, path string
		config             admin.WebConfig
		fields             []string
		status             int
		says               string
	}{
		{"everybody reads", "GET", "/api/v1/x", admin.WebConfig{}, nil, 200, `{"target":"x"}`},
		{"by name", "GET", "/api/v1/x", admin.WebConfig{}, []string{"Host", "LocalHost:9180"}, 200, ""},
		{"by address", "GET", "/api/v1/x", admin.WebConfig{}, []string{"Host", "[fe80::1]:80"}, 200, ""},
		{"by a name of ours", "GET", "/api/v1/x", admin.WebConfig{Hosts: []string{"edge.example"}}, []string{"Host", "Edge.example"}, 200, ""},
		{"not by a foreign name", "GET", "/api/v1/x", admin.WebConfig{}, []string{"Host", "evil.example"}, 421, "admin.hosts"},
		{"nor by one that looks like ours", "GET", "/api/v1/x", admin.WebConfig{}, []string{"Host", "localhost.evil.example"}, 421, "admin.hosts"},
		{"everybody asks", "POST", "/api/v1/ask", admin.WebConfig{}, []string{"Content-Type", json}, 200, ""},
		{"but in JSON", "POST", "/api/v1/ask", admin.WebConfig{}, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"and not from another site", "POST", "/api/v1/ask", admin.WebConfig{}, []string{"Content-Type", json, "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"no orders without a token here", "POST", "/api/v1/do", admin.WebConfig{}, []string{"Content-Type", json, "Authorization", bearer}, 403, "admin.token_file"},
		{"nor with an empty one", "POST", "/api/v1/do", admin.WebConfig{}, []string{"Content-Type", json, "Authorization", "Bearer "}, 403, "admin.token_file"},
		{"nor without one there", "POST", "/api/v1/do", admin.WebConfig{Token: token, TokenFile: "/etc/t"}, []string{"Content-Type", json}, 401, "/etc/t"},
		{"nor with another", "POST", "/api/v1/do", admin.WebConfig{Token: token, TokenFile: "/etc/t"}, []string{"Content-Type", json, "Authorization", bearer + "x"}, 401, "Bearer"},
		{"nor by another scheme", "POST", "/api/v1/do", admin.WebConfig{Token: token}, []string{"Content-Type", json, "Authorization", "Basic " + token}, 401, "Bearer"},
		{"with it they are taken", "POST", "/api/v1/do", admin.WebConfig{Token: token}, []string{"Content-Type", json, "Authorization", bearer}, 204, ""},
		{"but not from another site", "POST", "/api/v1/do", admin.WebConfig{Token: token}, []string{"Content-Type", json, "Authorization", bearer, "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"debug is shut", "GET", "/debug/pprof/", admin.WebConfig{}, nil, 404, "admin.debug"},
		{"unless opened", "GET", "/debug/pprof/", admin.WebConfig{Debug: true}, nil, 200, "goroutine"},
		{"variables as well", "GET", "/debug/vars", admin.WebConfig{Debug: true}, nil, 200, "memstats"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, at := listening(t, c.config)
			status, body, _ := send(t, c.method, "http://"+at+c.path, `{"target":"y"}`, c.fields...)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("got %d %s, want %d with %q", status, body, c.status, c.says)
			}
			if strings.Contains(body, token) {
				t.Error("the answer shows the token")
			}
		})
	}
}

// TestWebMethods: a method that a path has not is told, whoever asks, and needs
// neither token nor JSON.
func TestWebMethods(t *testing.T) {
	_, at := listening(t, admin.WebConfig{Token: token, TokenFile: "/etc/t", Debug: true})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"PUT", "/metrics", 405, "GET, HEAD"},
		{"POST", "/metrics", 405, "GET, HEAD"},
		{"DELETE", "/api/v1/x", 405, "GET, HEAD"},
		{"POST", "/api/v1/x", 405, "GET, HEAD"},
		{"GET", "/api/v1/do", 405, "POST"},
		{"HEAD", "/api/v1/do", 405, "POST"},
		{"PUT", "/api/v1/do", 405, "POST"},
		{"GET", "/api/v1/ask", 405, "POST"},
		{"PUT", "/", 405, "GET, HEAD"},
		{"POST", "/debug/vars", 405, "GET, HEAD"},
		{"HEAD", "/metrics", 200, ""},
		{"PUT", "/nothing", 404, ""},
		{"POST", "/api/v1/nothing", 404, ""},
		{"GET", "/nothing", 404, ""},
	} {
		status, body, h := send(t, c.method, "http://"+at+c.path, "x")
		if status != c.status || h.Get("Allow") != c.allow || strings.Contains(body, "/etc/t") {
			t.Errorf("%s %s: %d, Allow: %s, %s", c.method, c.path, status, h.Get("Allow"), body)
		}
	}
}

// TestWebHeaders: a browser loads nothing from elsewhere, and shares nothing.
func TestWebHeaders(t *testing.T) {
	_, at := listening(t, admin.WebConfig{})
	for _, path := range []string{"/", "/api/v1/x", "/nothing"} {
		_, _, h := send(t, "GET", "http://"+at+path, "", "Origin", "http://evil.example")
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy": "no-referrer",
		} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if policy := h.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: %s", path, policy)
		}
		if got := h.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s is shared with %s", path, got)
		}
	}
}

// TestWebBounds: neither heads nor bodies grow without end.
func TestWebBounds(t *testing.T) {
	_, at := listening(t, admin.WebConfig{Token: token})
	if status, _, _ := send(t, "GET", "http://"+at+"/", "", "X-Long", strings.Repeat("x", 64<<10)); status != 431 {
		t.Errorf("a long head: %d", status)
	}
	long := `{"target":"` + strings.Repeat("x", 17<<20) + `"}`
	if status, _, _ := send(t, "POST", "http://"+at+"/api/v1/ask", long, "Content-Type", "application/json"); status != 413 {
		t.Errorf("a long question: %d", status)
	}
	if status, _, _ := send(t, "POST", "http://"+at+"/api/v1/do", long[:5000], "Content-Type", "application/json", "Authorization", "Bearer "+token); status != 413 {
		t.Errorf("a long order: %d", status)
	}
}

// TestWebQuestions: questions, which cost more than they look, are few at once,
// and hold up nothing else.
func TestWebQuestions(t *testing.T) {
	_, at := listening(t, admin.WebConfig{})
	ask := func() int {
		status, _, _ := send(t, "POST", "http://"+at+"/api/v1/ask", "{}", "Content-Type", "application/json")
		return status
	}
	become := func(want int) {
		t.Helper()
		for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			got := ask()
			if got == want {
				return
			}
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%d, want %d", got, want)
			}
		}
	}
	var slow []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		slow = append(slow, c)
		fmt.Fprintf(c, "POST /api/v1/ask HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{", at)
	}
	become(503)
	if status, _, _ := send(t, "GET", "http://"+at+"/api/v1/x", ""); status != 200 {
		t.Errorf("reading beside slow questions: %d", status)
	}
	for _, c := range slow {
		c.Close()
	}
	become(200)
}

// TestWebRoom: requests are few at once, and who takes all the room leaves some
// to probes.
func TestWebRoom(t *testing.T) {
	_, at := listening(t, admin.WebConfig{Token: token})
	for range 32 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /api/v1/do HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{", at, token)
	}
	get := func(path string) int {
		status, _, _ := send(t, "GET", "http://"+at+path, "")
		return status
	}
	for begin := time.Now(); get("/api/v1/x") != 503; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("there is room for more than 32")
		}
	}
	for _, path := range []string{"/healthz", "/ready"} {
		if status := get(path); status == 503 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestWebBody: what follows the JSON is no part of an order, and is not ignored.
func TestWebBody(t *testing.T) {
	_, at := listening(t, admin.WebConfig{Token: token})
	for body, want := range map[string]int{"{}": 204, " {} \n": 204, `{} {"target":"x"}`: 400, "{}]": 400, "": 400} {
		if status, _, _ := send(t, "POST", "http://"+at+"/api/v1/do", body, "Content-Type", "application/json", "Authorization", "Bearer "+token); status != want {
			t.Errorf("%q: %d, want %d", body, status, want)
		}
	}
}

// TestWebPace: who asks too often has to wait, and is told so.
func TestWebPace(t *testing.T) {
	_, at := listening(t, admin.WebConfig{})
	for range 10_000 {
		if status, _, h := send(t, "GET", "http://"+at+"/api/v1/x", ""); status == 429 && h.Get("Retry-After") != "" {
			return
		}
	}
	t.Error("10,000 requests in a row are answered")
}

// TestWebMoves: a reload moves the listener, a token works at once, and an
// address that is taken is told and tried again.
func TestWebMoves(t *testing.T) {
	w, first := listening(t, admin.WebConfig{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second := taken.Addr().String()
	w.Set(admin.WebConfig{Listen: second})
	for begin := time.Now(); w.Status().LastError == ""; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("a taken address is no error")
		}
	}
	if !strings.Contains(w.Status().LastError, second) {
		t.Errorf("the error does not name the address: %s", w.Status().LastError)
	}
	if c, err := net.Dial("tcp", first); err == nil {
		c.Close()
		t.Error("the first address still answers")
	}
	taken.Close()
	for begin := time.Now(); w.Status().LastError != ""; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal(w.Status().LastError)
		}
	}
	answering(t, second)
	w.Set(admin.WebConfig{Listen: second, Token: token})
	if status, body, _ := send(t, "POST", "http://"+second+"/api/v1/do", "{}", "Content-Type", "application/json", "Authorization", "Bearer "+token); status != 204 {
		t.Errorf("an order with the new token: %d %s", status, body)
	}
	w.Set(admin.WebConfig{})
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", second)
		if err != nil {
			return
		}
		c.Close()
		if time.Since(begin) > 30*time.Second {
			t.Fatal("it listens though it is off")
		}
	}
}
