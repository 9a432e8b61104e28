package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/shield"
)

// completed is what a shell is offered behind a command line.
func completed(t *testing.T, file, line string) string {
	t.Helper()
	var out strings.Builder
	args := append([]string{"__complete", "-c", file}, strings.Fields(line)...)
	if code := run(t.Context(), env{stdout: &out, stderr: io.Discard, args: append(args, "")}); code != exitOK {
		t.Errorf("%s: exit %d", line, code)
	}
	return out.String()
}

func socketFile(t *testing.T) (socket, file string) {
	t.Helper()
	dir := t.TempDir()
	socket, file = filepath.Join(dir, "s"), filepath.Join(dir, "portico.toml")
	if err := os.WriteFile(file, []byte("[admin]\nsocket = \""+socket+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return socket, file
}

// TestCompletion: a shell is offered what the running director knows.
func TestCompletion(t *testing.T) {
	socket, file := socketFile(t)
	if got := completed(t, file, "drain"); got != ":4\n" {
		t.Errorf("without a director %q", got)
	}
	log := slog.New(slog.DiscardHandler)
	api := admin.NewAPI(log)
	admin.HandleGet(api, "/api/v1/status", "", func(*http.Request) (daemon.Status, error) {
		return daemon.Status{L4: &l4.Status{
			Services: []l4.ServiceStatus{{Servers: []l4.ServerStatus{
				{Name: "edge-2", Address: netip.MustParseAddrPort("192.0.2.12:80")}, {Name: "edge-1", Address: netip.MustParseAddrPort("192.0.2.11:80")},
			}}},
			Drains: []l4.DrainStatus{{Target: "edge-2"}},
		}}, nil
	})
	admin.HandleGet(api, denyPath, "", func(*http.Request) (shield.List, error) {
		return shield.List{Denials: []shield.Denial{
			{Network: netip.MustParsePrefix("192.0.2.0/24"), By: shield.ByOrder}, {Network: netip.MustParsePrefix("198.51.100.0/24"), By: shield.ByOrder},
			{Network: netip.MustParsePrefix("203.0.113.0/24"), By: shield.ByConfiguration},
		}}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error)
	go func() { done <- admin.New(log, api, socket, false).Run(ctx, func() { close(ready) }) }()
	<-ready
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for line, want := range map[string]string{
		"drain":                 "192.0.2.11\n192.0.2.12\nedge-1\nedge-2\n:4\n",
		"drain edge-1":          ":4\n",
		"undrain":               "edge-2\n:4\n",
		"deny del":              "192.0.2.0/24\n198.51.100.0/24\n:4\n",
		"deny del 192.0.2.0/24": "198.51.100.0/24\n:4\n",
	} {
		if got := completed(t, file, line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// TestCompletionWaits: a director that is stuck does not hold up a shell.
func TestCompletionWaits(t *testing.T) {
	socket, file := socketFile(t)
	l, err := net.Listen("unix", socket) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // the lines below run on
	for _, line := range []string{"drain", "undrain", "deny del"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			done := make(chan string, 1)
			go func() { done <- completed(t, file, line) }()
			select {
			case got := <-done:
				if got != ":4\n" {
					t.Errorf("%q", got)
				}
			case <-time.After(30 * time.Second):
				l.Close()
				t.Error("the shell waits")
				<-done
			}
		})
	}
}
