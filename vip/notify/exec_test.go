package notify

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes an executable shell script and returns its path.
func script(t *testing.T, body string) string {
	path := filepath.Join(t.TempDir(), "notify")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func execTarget(args ...string) Target {
	return Target{Name: "exec", Kind: KindExec, Timeout: 10 * time.Second, Exec: Exec{Command: args}}
}

func TestExec(t *testing.T) {
	out := t.TempDir()
	target := execTarget(script(t, `printf '%s\n' "$@" >"$1/args"; env >"$1/env"; cat >"$1/stdin"`), out, "it's $HOME; exit 1")
	target.Exec.KeepalivedArgs = true
	e := event("edge\n", 3, "Active")
	if err := Send(t.Context(), target, e); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got, want := read("args"), out+"\nit's $HOME; exit 1\nINSTANCE\nedge \nMASTER\n150\n"; got != want {
		t.Errorf("arguments %q, want %q", got, want)
	}
	env := "\n" + read("env")
	for _, want := range []string{
		"PORTICO_GROUP=edge ", "PORTICO_STATE=Active", "PORTICO_PREVIOUS=Backup", "PORTICO_NODE=edge-1", "PORTICO_PRIORITY=150",
		"PORTICO_ADDRESSES=192.0.2.10/32 2001:db8::10/128", "PORTICO_REASON=the Active resigned", "PORTICO_SEQUENCE=3",
		"PORTICO_TIME=2026-01-02T03:04:08.000006Z", "PORTICO_ID=" + e.id(),
	} {
		if !strings.Contains(env, "\n"+want+"\n") {
			t.Errorf("no %s in the environment:%s", want, env)
		}
	}
	var body struct{ ID, Group string }
	if err := json.Unmarshal([]byte(read("stdin")), &body); err != nil || body.ID != e.id() || body.Group != "edge\n" {
		t.Errorf("standard input: %+v (%v)", body, err)
	}
}

func TestExecFails(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"exit code": {"echo the reason >&2; exit 3", "the reason"},
		"hangs":     {"sleep 100 & sleep 100", "timeout"},
		// The daemon's writing must not block on who does not read.
		"does not read": {"exec 0<&-; exit 1", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			target := execTarget(script(t, c.body))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			before := time.Now()
			err := Send(ctx, target, event("edge", 1, "Active"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if d := time.Since(before); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	if err := Send(t.Context(), execTarget("/no/such/program"), Event{}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("a missing program: %v", err)
	}
}
