package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

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
