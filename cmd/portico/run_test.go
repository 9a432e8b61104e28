package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// A process is `portico run` inside the test.
type process struct {
	t      *testing.T
	dir    string
	conf   string
	reload chan os.Signal
	log    *lockedBuffer
	done   chan int
	stop   context.CancelFunc
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProxy runs the proxy part with one route, host a.example to a Pod.
func startProxy(t *testing.T, listen, ready string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "portico-") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &process{t: t, dir: dir, conf: filepath.Join(dir, "portico.toml"), reload: make(chan os.Signal, 1), log: new(lockedBuffer), done: make(chan int, 1)}
	if err := os.Mkdir(filepath.Join(dir, "manifests"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.write("manifests/a.yaml", fmt.Sprintf(manifest, pod(t)))
	p.configure(listen, ready)
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	go func() {
		p.done <- run(ctx, env{stdout: p.log, stderr: p.log, reload: p.reload, args: []string{"run", "--config", p.conf, "--only", "l7"}})
	}()
	t.Cleanup(func() { stop(); <-p.done; p.done <- 0 })
	p.eventually("ready", func() error { return p.get(ready, "/ready", "") })
	return p
}

func (p *process) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) configure(listen, ready string) {
	p.write("portico.toml", fmt.Sprintf(`# stop_delay is short, since every test stops.
[node]
name = "edge-1"
run_dir = %[1]q
[admin]
socket = "%[1]s/d.sock"
l7_socket = "%[1]s/p.sock"
[l7]
ready_listen = %[3]q
stop_delay = "300ms"
[[l7.entrypoint]]
name = "http"
listen = %[2]q
[l7.kubernetes]
manifests = "%[1]s/manifests"
dialect = "spec"
`, p.dir, listen, ready))
}

// get asks address for path and wants a 200.
func (p *process) get(address, path, host string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	req.Host = host
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

func (p *process) eventually(what string, cond func() error) {
	p.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: %v\n%s", what, err, p.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// status runs `portico status` and returns its exit status and output.
func (p *process) status(args ...string) (int, string) {
	var out bytes.Buffer
	code := run(p.t.Context(), env{stdout: &out, stderr: &out, args: append([]string{"status", "--config", p.conf}, args...)})
	return code, out.String()
}

func TestReloadMovesListenersAndRefusesFaults(t *testing.T) {
	first, second, ready := freeAddr(t), freeAddr(t), freeAddr(t)
	p := startProxy(t, first, ready)
	p.eventually("first address", func() error { return p.get(first, "/", "a.example") })

	p.configure(second, ready)
	p.reload <- syscall.SIGHUP
	p.eventually("second address", func() error { return p.get(second, "/", "a.example") })
	p.eventually("first address closed", func() error {
		if p.get(first, "/", "a.example") == nil {
			return fmt.Errorf("still answers")
		}
		return nil
	})

	p.write("portico.toml", "[l7]\nready_listen = 3\n[node]\nnmae = 'x'\n")
	p.reload <- syscall.SIGHUP
	p.eventually("refusal in the log", func() error {
		for _, want := range []string{`"line":2,"column":16,"key":"l7.ready_listen"`, `"line":4,"column":1,"key":"node.nmae"`} {
			if !strings.Contains(p.log.String(), want) {
				return fmt.Errorf("%s is not in the log", want)
			}
		}
		return nil
	})
	if err := p.get(second, "/", "a.example"); err != nil {
		t.Errorf("after a refused reload: %v", err)
	}
}

func TestReloadToATakenAddressChangesNothing(t *testing.T) {
	first, ready := freeAddr(t), freeAddr(t)
	p := startProxy(t, first, ready)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.configure(taken.Addr().String(), ready)
	p.reload <- syscall.SIGHUP
	p.eventually("refusal in the log", func() error {
		if !strings.Contains(p.log.String(), "another process listens there") {
			return fmt.Errorf("nothing said")
		}
		return nil
	})
	if err := p.get(first, "/", "a.example"); err != nil {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	p := startProxy(t, freeAddr(t), freeAddr(t))
	code, out := p.status()
	for _, want := range []string{"on edge-1", "proxy ready: 1 routes, 1 backends, 1 endpoints", "is not running"} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	if code != exitFailed {
		t.Errorf("status exits %d though the director is missing", code)
	}
	var decoded daemon.Node
	_, out = p.status("--json")
	if err := json.Unmarshal([]byte(out), &decoded); err != nil || decoded.Proxy == nil || !decoded.Proxy.L7.Ready {
		t.Errorf("--json: %v\n%s", err, out)
	}
}

func TestStopIsToldFirstAndLeavesNothing(t *testing.T) {
	listen, ready := freeAddr(t), freeAddr(t)
	p := startProxy(t, listen, ready)
	p.stop()
	p.eventually("/ready says no", func() error {
		if err := p.get(ready, "/ready", ""); err == nil || !strings.Contains(err.Error(), "503") {
			return fmt.Errorf("/ready: %v", err)
		}
		return nil
	})
	if err := p.get(listen, "/", "a.example"); err != nil {
		t.Errorf("while the directors do not know yet: %v", err)
	}
	if code := <-p.done; code != exitOK {
		t.Errorf("run exits %d\n%s", code, p.log)
	}
	p.done <- 0
	if _, err := os.Stat(filepath.Join(p.dir, "p.sock")); !os.IsNotExist(err) {
		t.Errorf("the admin socket is still there: %v", err)
	}
	if code, out := p.status(); code != exitFailed || !strings.Contains(out, "systemctl start portico") {
		t.Errorf("status of a stopped portico exits %d:\n%s", code, out)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"stauts"}, exitUsage, "did you mean status?"},
		{[]string{"run", "--onyl", "l7"}, exitUsage, "unknown flag: --onyl"},
		{[]string{"run", "--only", "l8"}, exitUsage, "no such part: allowed are vip, l4, health, l7"},
		{[]string{"check", "x"}, exitUsage, "takes no argument"},
		{[]string{"status", "--watch", "1s"}, exitUsage, "write --watch=1s"},
		{[]string{"status", "1s"}, exitUsage, "takes no argument"},
		{[]string{"check", "--config", "/nonexistent"}, exitFailed, "no such file"},
		{[]string{"version"}, exitOK, "portico development"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), env{stdout: &out, stderr: &out, args: c.args}); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("portico %s exits %d, want %d, and says\n%s", strings.Join(c.args, " "), code, c.code, out.String())
		}
	}
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// pod serves "pod" on loopback and returns its port.
func pod(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "pod") })}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

const manifest = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: a, namespace: default }
spec:
  ingressClassName: portico
  rules:
  - host: a.example
    http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: a, port: { number: 80 } } } } ] }
---
apiVersion: v1
kind: Service
metadata: { name: a, namespace: default }
spec: { ports: [ { port: 80 } ] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a-1, namespace: default, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
endpoints: [ { addresses: [ "127.0.0.1" ] } ]
ports: [ { port: %d } ]
`
