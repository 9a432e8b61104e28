package main

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// here runs a shell script as vm -auto does on a machine with IPVS.
func here(t *testing.T, timeout time.Duration, script string) (status int, stdout string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("namespaces need root")
	}
	var out bytes.Buffer
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, because the thread is left in its namespaces
		o := options{timeout: timeout, program: []string{"sh", "-c", script}}
		status, err = o.runHere(t.Context(), env{stdout: &out, stderr: &out, environ: os.Environ(), dir: t.TempDir()})
	}()
	<-done
	t.Logf("status %d, %v: %s", status, err, &out)
	return status, out.String()
}

func TestHere(t *testing.T) {
	status, stdout := here(t, time.Minute, `ip -br link; ls /sys/class/net /run/netns; touch /run/netns/mine; echo "lab $PORTICO_LAB"; exit 5`)
	if f := strings.Fields(stdout); status != 5 || len(f) < 4 || f[0] != "lo" || f[len(f)-1] != "1" || strings.Contains(stdout, "eth") {
		t.Errorf("status %d, %q", status, stdout)
	}
	if _, err := os.Stat("/run/netns/mine"); err == nil {
		t.Error("/run/netns is this machine's own")
	}
	if status, _ := here(t, time.Minute, "kill -TERM $$"); status != 128+15 {
		t.Errorf("a program ended by SIGTERM gives %d", status)
	}
	if status, _ := here(t, 50*time.Millisecond, "exec sleep 1000"); status != exitTimeout {
		t.Errorf("a program that takes too long gives %d", status)
	}
}
