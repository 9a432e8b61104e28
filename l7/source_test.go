package l7_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/test/lab"
)

// TestSourceComesLate: a folder that appears after the start, as a mount may,
// is found without a reload.
func TestSourceComesLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manifests")
	synctest.Test(t, func(t *testing.T) {
		p := l7.New(l7.Options{Log: slog.New(slog.DiscardHandler), Config: l7.Config{Kubernetes: l7.Kubernetes{Manifests: dir}}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, func() {}) }()
		synctest.Wait()
		if got := p.Status().Reason; !strings.Contains(got, "create it") {
			t.Errorf("the reason is %q, want one that names the cure", got)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if s := p.Status().Source; s == nil || !s.Synced {
			t.Errorf("the source is %+v", s)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPrepareRefusesSource: a reload that names a source which cannot be had
// changes nothing.
func TestPrepareRefusesSource(t *testing.T) {
	p := l7.New(l7.Options{Log: slog.New(slog.DiscardHandler), Config: l7.Config{Kubernetes: l7.Kubernetes{Manifests: t.TempDir()}}})
	for _, k := range []l7.Kubernetes{
		{Manifests: "/no/such/folder"},
		{Kubeconfig: "/no/such/file"},
		{Endpoints: []string{"https://192.0.2.1:6443"}, LabelSelector: "a in in (b"},
	} {
		if _, err := p.Prepare(l7.Config{Kubernetes: k}); err == nil {
			t.Errorf("%+v is taken", k)
		}
	}
}

// TestSourceThatDoesNotAnswer: who asks why this node is not ready is told what
// is wrong with the API server.
func TestSourceThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := l7.Config{Kubernetes: l7.Kubernetes{Endpoints: []string{"https://127.0.0.1:1"}}}
		p := l7.New(l7.Options{Log: slog.New(slog.DiscardHandler), Config: config})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, func() {}) }()
		time.Sleep(5 * time.Second)
		s := p.Status()
		if s.Ready || s.Reason != "no configuration has been read yet" {
			t.Errorf("ready %v, the reason is %q", s.Ready, s.Reason)
		}
		if s.Source == nil || s.Source.Synced || !strings.Contains(s.Source.Err, "127.0.0.1:1") {
			t.Errorf("the source is %+v", s.Source)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestStaticRoutesNeedNoCluster: what the configuration itself says is served from
// the start, whatever becomes of the source beside it; what else there may be is
// not known until that has been read, and the node is not ready before.
func TestStaticRoutesNeedNoCluster(t *testing.T) {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	defer endpoint.Close()
	manifests := filepath.Join(t.TempDir(), "manifests")
	for name, source := range map[string]string{
		"an API server that does not answer": `endpoints = ["https://127.0.0.1:1"]`,
		"a folder that is not there":         fmt.Sprintf("manifests = %q", manifests),
	} {
		t.Run(name, func(t *testing.T) {
			addr, ready := freeAddr(t), freeAddr(t)
			p := startL7(t, valid(t, fmt.Sprintf(`
ready_listen = %q
stop_delay   = "0s"
[kubernetes]
%s
[[entrypoint]]
name   = "http"
listen = %q
[[middleware]]
name    = "below"
rewrite = { strip_prefix = ["/app"] }
[[route]]
name        = "mill"
host        = "mill.example"
path        = "/app"
middlewares = ["below"]
endpoint    = [ { address = %q } ]
`, ready, source, addr, endpoint.Listener.Addr())))
			asks(t, addr, "mill.example/app/x", "", "200 /x")
			asks(t, addr, "mill.example/", "", "503")
			asks(t, addr, "shop.example/app", "", "503")
			asks(t, ready, "this.node/ready", "", "503")
			if s := p.Status(); s.Ready || s.Routes != 1 {
				t.Errorf("ready %v with %d routes", s.Ready, s.Routes)
			}
			if all := p.Routes(); len(all) != 1 || all[0].Endpoints != 1 {
				t.Errorf("the routes are %+v", all)
			}
			for url, want := range map[string]string{"http://mill.example/app": "", "http://shop.example/": "503: "} {
				if x, err := p.Explain(l7.Question{URL: url}); err != nil || !strings.HasPrefix(x.Answer, want) || (x.Answer == "") != (want == "") {
					t.Errorf("%s: %q, %v", url, x.Answer, err)
				}
			}
			if _, err := p.Diff(l7.Proposal{}); err == nil {
				t.Error("there is a difference to what is not known")
			}
			if !strings.HasPrefix(source, "manifests") {
				return
			}

			text := fmt.Sprintf(withMiddlewares, endpoint.Listener.Addr().(*net.TCPAddr).Port)
			if err := os.Mkdir(manifests, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(manifests, "shop.yaml"), []byte(strings.ReplaceAll(text, "portico.io/middlewares", "note")), 0o600); err != nil {
				t.Fatal(err)
			}
			for first := time.Now(); ask(t, ready, "this.node/ready", "") != "200 ready\n"; time.Sleep(10 * time.Millisecond) {
				asks(t, addr, "mill.example/app/x", "", "200 /x")
				if time.Since(first) > 30*time.Second {
					t.Fatalf("not ready: %+v", p.Status())
				}
			}
			asks(t, addr, "mill.example/app/x", "", "200 /x")
			asks(t, addr, "shop.example/app", "", "200 /app")
			asks(t, addr, "nowhere.example/", "", "404")
		})
	}
}

// TestReloadOvertakesAnother: an entrypoint that one configuration removes stands in
// the next, which was prepared while it was still served.
func TestReloadOvertakesAnother(t *testing.T) {
	first, other := freeAddr(t), freeAddr(t)
	without := l7.Config{Entrypoints: []l7.Entrypoint{{Name: "http", Listen: first}}}
	with := l7.Config{Entrypoints: append(slices.Clone(without.Entrypoints), l7.Entrypoint{Name: "other", Listen: other})}
	p := startL7(t, with)
	prepare := func(c l7.Config) (commit func()) {
		commit, err := p.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		return commit
	}
	answers := func() error {
		conn, err := net.Dial("tcp", other)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	commit, overtaken := prepare(without), prepare(with)
	commit()
	lab.Eventually(t, 30*time.Second, "other removed", func() error {
		files, err := p.Files()
		for _, f := range files {
			f.Close()
		}
		if files[other] != nil {
			return errors.New("it is bound")
		}
		if err != nil {
			return err
		}
		return nil
	})
	overtaken()
	lab.Eventually(t, 30*time.Second, "answers of other", answers)
}
