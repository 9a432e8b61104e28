package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSupervise interrupts a program that is held, which is asked to leave,
// and one that is not, which is ended.
func TestSupervise(t *testing.T) {
	for _, c := range []struct {
		name, script string
		interrupt    bool
		status       int
	}{
		{"ends by itself", "exit 3", false, 3},
		{"held", ": >held; echo ready; until [ -e leave ]; do sleep 0.01; done; exit 4", true, 4},
		{"not held", "trap 'exit 5' TERM; echo ready; until [ -e leave ]; do sleep 0.01; done", true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("/bin/sh", "-c", c.script)
			cmd.Dir = dir
			ctx, interrupt := context.WithTimeout(t.Context(), 10*time.Second)
			defer interrupt()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd.Stdout = w
			done := make(chan error, 1)
			go func() { done <- supervise(ctx, cmd, dir) }()
			if c.interrupt {
				if _, err := r.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				interrupt()
			}
			err = <-done
			w.Close()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.status {
				t.Errorf("%v, want status %d", err, c.status)
			}
		})
	}
}

// TestLaunch looks at how the program starts itself again where no terminal is.
func TestLaunch(t *testing.T) {
	dir := t.TempDir()
	vm := filepath.Join(dir, "vm")
	script := "#!/bin/sh\necho \"$@\" >" + dir + "/args\nexit 7\n"
	for name, text := range map[string]string{vm: script, filepath.Join(dir, "portico"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var errs bytes.Buffer
	e := env{stdin: null, stdout: null, stderr: &errs, self: filepath.Join(dir, "demo")}
	if status := run(e, []string{"-hold"}); status != 7 {
		t.Errorf("status %d, want the program's own: %s", status, &errs)
	}
	b, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(string(b))
	for _, want := range []string{"-auto", "-inside", "-hold=true", "-color=false", "-keyboard=false"} {
		if !slices.Contains(args, want) {
			t.Errorf("%v lacks %s", args, want)
		}
	}
	if slices.Contains(args, "-tty") {
		t.Errorf("%v: a terminal is asked for, and there is none", args)
	}

	if status := run(e, []string{"-vm", filepath.Join(dir, "none")}); status != 2 || !strings.Contains(errs.String(), "make demo") {
		t.Errorf("without vm: status %d, %s", status, &errs)
	}
}
