package kube

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFailingExecPlugin: a program that gives no credentials is started now and
// then, and not by each reader each second.
func TestFailingExecPlugin(t *testing.T) {
	dir := t.TempDir()
	program, starts, file := filepath.Join(dir, "credentials"), filepath.Join(dir, "starts"), filepath.Join(dir, "kubeconfig")
	text := "#!/bin/sh\necho x >> " + starts + "\nexit 3\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	config := `{apiVersion: v1, kind: Config, current-context: c,
contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ` + program + `, interactiveMode: Never}}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatcher(WatchOptions{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), execPause-time.Second)
	defer stop()
	if err := w.Run(ctx, func() {}); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(starts)
	if err != nil {
		t.Fatal(err)
	}
	// Once a reader, before any of them is known to fail.
	if n := strings.Count(string(b), "x"); n == 0 || n > len(w.readings) {
		t.Errorf("it was started %d times by %d readers", n, len(w.readings))
	}
	if s := w.Status(); !strings.Contains(s.Err, noCredentials) {
		t.Errorf("the status is %+v", s)
	}
}
