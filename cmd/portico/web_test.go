package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l7"
)

// direct runs a director beside p, which answers at the returned address.
func (p *process) direct(t *testing.T) string {
	t.Helper()
	at := freeAddr(t)
	text, err := os.ReadFile(p.conf)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(p.dir, "director.toml")
	p.write("director.toml", strings.Replace(string(text), "[admin]\n", "[admin]\nlisten = \""+at+"\"\n", 1))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	log := new(lockedBuffer)
	go func() {
		done <- run(ctx, env{stdout: log, stderr: log, args: []string{"run", "--config", conf, "--only", "health"}})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != exitOK {
			t.Errorf("the director exits %d:\n%s", code, log)
		}
	})
	p.eventually("the director is ready", func() error { return p.get(at, "/ready", "") })
	return at
}

// fetch returns status and body of path at address; a body is posted. It waits
// where it asks too often.
func (p *process) fetch(address, path, body string) (int, string) {
	p.t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		time.Sleep(100 * time.Millisecond)
		return p.fetch(address, path, body)
	}
	return resp.StatusCode, string(b)
}

// answer decodes what path answers, in which nothing may be unknown.
func answer[T any](p *process, address, path, body string) (v T) {
	p.t.Helper()
	code, text := p.fetch(address, path, body)
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); code != http.StatusOK || err != nil {
		p.t.Fatalf("%s: %d, %v: %s", path, code, err, text)
	}
	return v
}

// TestWebShowsTheNode: the director answers for its proxy, and without it.
func TestWebShowsTheNode(t *testing.T) {
	entry := freeAddr(t)
	p := startProxy(t, entry, freeAddr(t))
	at := p.direct(t)
	for range 3 {
		if err := p.get(entry, "/", "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	if n := answer[daemon.Node](p, at, "/api/v1/node", ""); n.Director == nil || n.Proxy == nil || !n.Proxy.L7.Ready || len(n.Missing) > 0 {
		t.Errorf("%+v", n)
	}
	routes := answer[[]l7.RouteStatus](p, at, "/api/v1/routes", "")
	if len(routes) != 1 || routes[0].Host != "a.example" {
		t.Errorf("%+v", routes)
	}
	if x := answer[l7.Explanation](p, at, "/api/v1/explain", `{"url": "http://a.example/"}`); x.Route == nil || len(x.Backends) != 1 {
		t.Errorf("%+v", x)
	}
	p.eventually("points for charts", func() error {
		for _, point := range answer[daemon.History](p, at, "/api/v1/history", "").Points {
			if point.L7 != nil {
				return nil
			}
		}
		return fmt.Errorf("none tells of the proxy")
	})
	if code, text := p.fetch(at, "/api/v1/history?since=yesterday", ""); code != http.StatusUnprocessableEntity || !strings.Contains(text, `"yesterday" is no time`) {
		t.Errorf("since=yesterday: %d %s", code, text)
	}
	route := routes[0].Origin.Namespace + "/" + routes[0].Origin.Name
	p.eventually("requests are counted", func() error {
		_, text := p.fetch(at, "/metrics", "")
		if want := fmt.Sprintf("portico_l7_requests_total{code=\"2xx\",route=%q} 3\n", route); !strings.Contains(text, want) {
			return fmt.Errorf("no %s in:\n%s", want, text)
		}
		return nil
	})
	_, text := p.fetch(at, "/metrics", "")
	checkMetrics(t, text)

	p.stop()
	p.eventually("the proxy is missed", func() error {
		if code, text := p.fetch(at, "/ready", ""); code != http.StatusServiceUnavailable || !strings.Contains(text, "proxy") {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	p.eventually("the proxy is gone", func() error {
		if n := answer[daemon.Node](p, at, "/api/v1/node", ""); n.Director == nil || n.Proxy != nil || len(n.Missing) != 1 {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	if code, text := p.fetch(at, "/api/v1/routes", ""); code != http.StatusServiceUnavailable || !strings.Contains(text, "is not running") {
		t.Errorf("routes: %d %s", code, text)
	}
	if err := p.get(at, "/healthz", ""); err != nil {
		t.Error(err)
	}
	_, text = p.fetch(at, "/metrics", "")
	if !strings.Contains(text, `portico_up{process="proxy"} 0`) || !strings.Contains(text, `portico_up{process="director"} 1`) || strings.Contains(text, "portico_l7_ready") {
		t.Errorf("without a proxy:\n%s", text)
	}
	p.eventually("the event", func() error {
		if _, text := p.fetch(at, "/api/v1/events", ""); !strings.Contains(text, "does not answer") {
			return fmt.Errorf("not in %s", text)
		}
		return nil
	})
}

var sampled = regexp.MustCompile(`(?m)^# TYPE (portico_[a-z0-9_]+) (\w+)$`)

// checkMetrics holds a scrape to the manual and to promtool.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	manual, err := os.ReadFile("../../packaging/doc/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := sampled.FindAllStringSubmatch(text, -1)
	if len(found) < 30 {
		t.Errorf("%d names", len(found))
	}
	for _, m := range found {
		if !strings.Contains(string(manual), "| `"+m[1]+"` | "+m[2]+" |") {
			t.Errorf("%s, a %s, is not in metrics.md", m[1], m[2])
		}
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		return // test/install-deps has it
	}
	var ours strings.Builder // what the runtime says is not ours to name
	for line := range strings.Lines(text) {
		if strings.Contains(line, "portico_") {
			ours.WriteString(line)
		}
	}
	c := exec.Command("promtool", "check", "metrics")
	c.Stdin = strings.NewReader(ours.String())
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestProxyAlone: a proxy without a director answers for itself where it is told
// to.
func TestProxyAlone(t *testing.T) {
	entry, ready, at := freeAddr(t), freeAddr(t), freeAddr(t)
	p := startProxy(t, entry, ready)
	text, err := os.ReadFile(p.conf)
	if err != nil {
		t.Fatal(err)
	}
	p.write("portico.toml", strings.Replace(string(text), "[admin]\n", "[admin]\nl7_listen = \""+at+"\"\n", 1))
	p.reload <- os.Interrupt // any value is a SIGHUP
	p.eventually("it listens", func() error { return p.get(at, "/ready", "") })
	if n := answer[daemon.Node](p, at, "/api/v1/node", ""); n.Director != nil || n.Proxy == nil || len(n.Missing) > 0 {
		t.Errorf("%+v", n)
	}
	if _, text := p.fetch(at, "/metrics", ""); !strings.Contains(text, `portico_up{process="proxy"} 1`) || strings.Contains(text, `process="director"`) {
		t.Errorf("metrics:\n%s", text)
	}
	if code, _ := p.fetch(at, "/", ""); code != http.StatusOK {
		t.Errorf("the dashboard: %d", code)
	}
}
