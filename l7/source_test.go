package l7_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/l7"
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
