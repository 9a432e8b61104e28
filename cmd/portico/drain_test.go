package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l4"
)

// looks answers with one state of the drain after another, the last for ever.
func looks(states ...l4.DrainStatus) func() (daemon.Status, error) {
	return func() (daemon.Status, error) {
		s := daemon.Status{L4: &l4.Status{Drains: states[:1]}}
		if len(states) > 1 {
			states = states[1:]
		}
		return s, nil
	}
}

func TestWaitDrained(t *testing.T) {
	at := func(programmed, serving, connections int) l4.DrainStatus {
		return l4.DrainStatus{Target: "edge-2", Programmed: programmed, Serving: serving, Connections: connections}
	}
	for name, tt := range map[string]struct {
		looks     []l4.DrainStatus
		out, fail string
	}{
		"empties":         {[]l4.DrainStatus{at(1, 1, 0), at(1, 0, 3), at(1, 0, 0)}, "edge-2: 3 connections left\nedge-2: 0 connections left\n", ""},
		"not here":        {[]l4.DrainStatus{at(0, 0, 0)}, "this node balances none of its services: nothing to wait for here\n", ""},
		"given back":      {[]l4.DrainStatus{{Target: "edge-3"}}, "", "edge-2 was given back meanwhile"},
		"does not finish": {[]l4.DrainStatus{at(1, 0, 2)}, "edge-2: 2 connections left\n", "edge-2 is not drained yet, and stays out of service: 2 connections left: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 60e9)
				defer cancel()
				var out strings.Builder
				err := waitDrained(ctx, &out, "edge-2", looks(tt.looks...))
				if got := errorText(err); got != tt.fail || out.String() != tt.out {
					t.Errorf("got %q, %q, want %q, %q", out.String(), got, tt.out, tt.fail)
				}
			})
		})
	}
}

// A wait that ends while the director is being asked ends like any other.
func TestWaitDrainedEndsInAQuestion(t *testing.T) {
	for _, tt := range []struct {
		answers int
		want    string
	}{
		{0, "edge-2 is not drained yet, and stays out of service: context canceled"},
		{1, "edge-2 is not drained yet, and stays out of service: 3 connections left: context canceled"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			look := looks(l4.DrainStatus{Target: "edge-2", Programmed: 1, Connections: 3})
			asked := 0
			err := waitDrained(ctx, io.Discard, "edge-2", func() (daemon.Status, error) {
				if asked++; asked > tt.answers {
					cancel()
					return daemon.Status{}, ctx.Err()
				}
				return look()
			})
			if errorText(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Orders reach the director by its socket, and its refusals the operator.
func TestDrainOrders(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	file := filepath.Join(t.TempDir(), "portico.toml")
	if err := os.WriteFile(file, []byte("[admin]\nsocket = \""+socket+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	api := admin.NewAPI(log)
	s := admin.New(log, api, socket, false)
	var got []daemon.Drain
	admin.HandleOrder(api, drainPath, "", func(_ context.Context, o daemon.Drain) error {
		got = append(got, o)
		if o.Target == "edge-9" {
			return errors.New("no server is meant by \"edge-9\"")
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"drain", "edge-2"}, exitOK, ""},
		{[]string{"undrain", "edge-2"}, exitOK, ""},
		{[]string{"drain", "edge-9"}, exitFailed, "portico: no server is meant by \"edge-9\"\n"},
		{[]string{"drain"}, exitUsage, "portico: portico drain takes one SERVER\nRun 'portico --help' for usage.\n"},
	} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), env{stdout: &stdout, stderr: &stderr, args: append(tt.args, "-c", file)})
		if status != tt.status || stderr.String() != tt.stderr {
			t.Errorf("%q: exit %d, %q", tt.args, status, stderr.String())
		}
	}
	if len(got) != 3 || got[0] != (daemon.Drain{Target: "edge-2"}) || got[1] != (daemon.Drain{Target: "edge-2", Off: true}) {
		t.Errorf("orders %v", got)
	}
	if err := admin.Order(t.Context(), socket, drainPath, map[string]string{"servre": "x"}); err == nil || !strings.Contains(err.Error(), "servre") {
		t.Errorf("an unknown field: %v", err)
	}
	if err := admin.Order(t.Context(), socket, drainPath, daemon.Drain{Target: strings.Repeat("x", 5000)}); err == nil {
		t.Error("a long order was taken")
	}
}
