package l7_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
)

// logged serves the Ingresses of another test, of which shop.example/app has an
// endpoint, and returns its configuration.
func logged(t *testing.T, addr string, endpoint http.HandlerFunc) (config string) {
	t.Helper()
	srv := httptest.NewServer(endpoint)
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	manifests := fmt.Sprintf(withMiddlewares, srv.Listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	config = fmt.Sprintf(middlewares, dir, addr, "127.0.0.1:1") // where no mirror is
	return regexp.MustCompile("(?m)^rate_limit.*$").ReplaceAllString(config, "in_flight = { most = 1000 }")
}

func awaitRoutes(t *testing.T, addr string) {
	t.Helper()
	for first := time.Now(); ask(t, addr, "nowhere.example/", "") != "404"; {
		if time.Since(first) > 10*time.Second {
			t.Fatal("there are no routes")
		}
	}
}

// lines returns the objects of a log whose requests had a path that begins with
// prefix.
func lines(t *testing.T, path, prefix string) []map[string]any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []map[string]any
	for s := bufio.NewScanner(f); s.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, s.Bytes())
		}
		if p, _ := line["RequestPath"].(string); strings.HasPrefix(p, prefix) {
			out = append(out, line)
		}
	}
	return out
}

// TestAccessLog has a line tell what became of a request.
func TestAccessLog(t *testing.T) {
	addr, path := freeAddr(t), filepath.Join(t.TempDir(), "access.log")
	config := logged(t, addr, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		http.Error(w, "teapot", http.StatusTeapot)
	})
	t.Run("serve", func(t *testing.T) {
		runL7(t, valid(t, config+"\n[access_log]\nfile = '"+path+"'\nheaders.default = 'keep'"))
		awaitRoutes(t, addr)
		for _, page := range []string{"shop.example/app/a?b=c", "typo.example/x", "nowhere.example/y"} {
			host, rest, _ := strings.Cut(page, "/")
			req, _ := http.NewRequest(http.MethodPost, "http://"+addr+"/"+rest, strings.NewReader("body"))
			req.Host = host + ":8080"
			req.Header.Set("Authorization", "Basic c2VjcmV0")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	for _, c := range []struct {
		path string
		want map[string]any
		none []string
	}{
		{"/app/a", map[string]any{
			"RequestMethod": "POST", "RequestPath": "/app/a?b=c", "RequestLine": "POST /app/a?b=c HTTP/1.1", "RequestProtocol": "HTTP/1.1",
			"RequestHost": "shop.example", "RequestPort": "8080", "RequestContentSize": 4.0, "RequestScheme": "http",
			"ClientHost": "127.0.0.1", "entryPointName": "http", "FrontendName": "shop.example/app", "BackendName": "shop/web:80",
			"KubernetesIngressName": "web", "KubernetesIngressNamespace": "shop", "KubernetesServiceName": "web", "KubernetesServicePort": "80",
			"OriginStatus": 418.0, "DownstreamStatus": 418.0, "OriginContentSize": 7.0, "DownstreamContentSize": 7.0, "RetryAttempts": 0.0,
			"request_Authorization": "REDACTED", "request_User-Agent": "Go-http-client/1.1", "downstream_Content-Length": "7",
		}, []string{"Reason", "Broken"}},
		{"/x", map[string]any{
			"DownstreamStatus": 503.0, "OriginStatus": 0.0, "FrontendName": "typo.example/", "OriginDuration": 0.0, "RequestContentSize": 4.0,
		}, []string{"BackendURL"}},
		{"/y", map[string]any{
			"DownstreamStatus": 404.0, "OriginStatus": 0.0, "Reason": "no route for this host and path",
		}, []string{"FrontendName", "BackendName", "KubernetesIngressName"}},
	} {
		got := lines(t, path, c.path)
		if len(got) != 1 {
			t.Fatalf("%s has %d lines", c.path, len(got))
		}
		for key, want := range c.want {
			if got[0][key] != want {
				t.Errorf("%s: %s is %v, want %v", c.path, key, got[0][key], want)
			}
		}
		for _, key := range c.none {
			if v, ok := got[0][key]; ok {
				t.Errorf("%s: %s is %v", c.path, key, v)
			}
		}
		duration, _ := got[0]["Duration"].(float64)
		origin, _ := got[0]["OriginDuration"].(float64)
		head, _ := got[0]["OriginHeadDuration"].(float64)
		if duration <= 0 || origin > duration || head > origin || c.path == "/app/a" && head == 0 {
			t.Errorf("%s took %v, its endpoint %v, up to the head %v", c.path, duration, origin, head)
		}
	}
}

// TestAccessLogReplaced moves the log from file to file while requests run: each
// has one line, in one of them.
func TestAccessLogReplaced(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	config := logged(t, addr, func(http.ResponseWriter, *http.Request) {})
	file := func(i int) string { return filepath.Join(dir, fmt.Sprint(i, ".log")) }
	with := func(i int) l7.Config { return valid(t, config+"\n[access_log]\nfile = '"+file(i)+"'") }
	var n atomic.Int64
	t.Run("serve", func(t *testing.T) {
		reload := runL7(t, with(0))
		awaitRoutes(t, addr)
		over := make(chan struct{})
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						ask(t, addr, fmt.Sprint("shop.example/app/", n.Add(1)), "")
					}
				}
			})
		}
		for i := range 5 {
			for range 20 {
				ask(t, addr, fmt.Sprint("shop.example/app/", n.Add(1)), "")
			}
			reload(with(i + 1))
		}
		close(over)
		group.Wait()
	})
	seen := map[any]int{}
	for i := range 6 {
		if _, err := os.Stat(file(i)); err != nil {
			continue // it was replaced before it was opened
		}
		for _, l := range lines(t, file(i), "/app/") {
			seen[l["RequestPath"]]++
		}
	}
	for i := range n.Load() {
		if got := seen[fmt.Sprint("/app/", i+1)]; got != 1 {
			t.Errorf("request %d of %d has %d lines", i+1, n.Load(), got)
		}
	}
}

// TestTrace has the endpoint continue what a client began, and the collector
// hear of it.
func TestTrace(t *testing.T) {
	const id, state = "4bf92f3577b34da6a3ce929d0e0e4736", "vendor=1"
	var spans atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		data, _ := io.ReadAll(z)
		spans.Add(int64(strings.Count(string(data), "url.path")))
	}))
	defer collector.Close()
	addr := freeAddr(t)
	got := make(chan http.Header, 1)
	config := logged(t, addr, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	send := func(t *testing.T, parent string) (toldParent, toldState string) {
		req, _ := http.NewRequest(http.MethodGet, "http://"+addr+"/app/", nil)
		req.Host = "shop.example"
		req.Header.Set("Tracestate", state)
		if parent != "" {
			req.Header.Set("Traceparent", parent)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := <-got
		if n := len(h["Traceparent"]); n > 1 {
			t.Errorf("%d traceparents", n)
		}
		return h.Get("Traceparent"), h.Get("Tracestate")
	}
	const theirs = "00-" + id + "-00f067aa0ba902b7-01"
	t.Run("serve", func(t *testing.T) {
		reload := runL7(t, valid(t, config))
		awaitRoutes(t, addr)
		if p, s := send(t, theirs); p != theirs || s != state {
			t.Errorf("without tracing the endpoint gets %q, %q", p, s)
		}
		reload(valid(t, config+"\n[trace]\nendpoint = '"+collector.URL+"'\nsample = 1.0"))
		var p, s string
		for p = theirs; p == theirs; { // until the reload has effect
			p, s = send(t, theirs)
		}
		if !strings.HasPrefix(p, "00-"+id+"-") || !strings.HasSuffix(p, "-01") || s != state {
			t.Errorf("the endpoint gets %q, %q", p, s)
		}
		for _, parent := range []string{"", "00-x"} {
			if p, s := send(t, parent); strings.Contains(p, id) || len(p) != len(theirs) || s != "" {
				t.Errorf("of a client that says %q the endpoint gets %q, %q", parent, p, s)
			}
		}
	})
	if n := spans.Load(); n < 3 {
		t.Errorf("%d spans", n)
	}
}
