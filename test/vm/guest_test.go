package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vm runs the command as main would, and returns what it wrote.
func vm(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	if os.Getenv("PORTICO_VM") == "1" {
		t.Skip("this boots guests, and is in one")
	}
	if testing.Short() {
		t.Skip("boots a guest")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil && os.Getenv("PORTICO_LAB") != "1" {
		t.Skip("no qemu")
	}
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	status = run(ctx, env{stdout: &out, stderr: &errs, environ: append(os.Environ(), "PORTICO_WORD=it's", "SECRET=leaked"), dir: t.TempDir()}, args)
	t.Logf("status %d, stderr: %s", status, &errs)
	return status, out.String(), errs.String()
}

func TestExitStatusAndOutput(t *testing.T) {
	out := t.TempDir()
	profile := filepath.Join(t.TempDir(), "cover.out") // asked for by the caller, so copied out
	status, stdout, stderr := vm(t, "-out", out, "--", "sh", "-c", `
		printf 'first\r\nlast without newline %s' "$1"
		echo complaint >/dev/stderr
		echo "$PORTICO_WORD $SECRET" >"$PORTICO_OUT/words"
		echo lost >"$PORTICO_OUT-lost"
		echo mode: set >"${2#*=}"
		sleep 1000 & # must not hold up the end
		exit 1`, "sh", "a b", "-test.coverprofile="+profile)
	if status != 1 {
		t.Errorf("status %d, want the program's 1", status)
	}
	if want := "first\r\nlast without newline a b"; stdout != want {
		t.Errorf("stdout %q, want %q", stdout, want)
	}
	if !strings.HasSuffix(stderr, "complaint\n") || strings.Contains(stderr, "Power down") {
		t.Errorf("stderr %q", stderr)
	}
	if b, err := os.ReadFile(filepath.Join(out, "words")); err != nil || string(b) != "it's \n" {
		t.Errorf("-out: %q, %v", b, err)
	}
	if b, err := os.ReadFile(profile); err != nil || string(b) != "mode: set\n" {
		t.Errorf("profile: %q, %v", b, err)
	}
	if _, err := os.Stat(out + "-lost"); err == nil {
		t.Error("the guest wrote into this machine's file system")
	}
}

func TestPanic(t *testing.T) {
	status, _, stderr := vm(t, "--", "sh", "-c", "echo c >/proc/sysrq-trigger")
	if status != exitNoGuest || !strings.Contains(stderr, "went down under the program") || !strings.Contains(stderr, "sysrq triggered crash") {
		t.Errorf("status %d, stderr %s", status, stderr)
	}
}

func TestDidNotBoot(t *testing.T) {
	status, _, stderr := vm(t, "-root", t.TempDir(), "--", "true")
	if status != exitNoGuest || !strings.Contains(stderr, errBoot.Error()) {
		t.Errorf("status %d, stderr %s", status, stderr)
	}
}

func TestTimeout(t *testing.T) {
	start := time.Now()
	status, stdout, stderr := vm(t, "-timeout", "20s", "--", "sh", "-c", "echo begun; exec sleep 1000")
	if status != exitTimeout || stdout != "begun\n" || !strings.Contains(stderr, "-timeout") {
		t.Errorf("status %d after %v, stdout %q, stderr %s", status, time.Since(start), stdout, stderr)
	}
}
