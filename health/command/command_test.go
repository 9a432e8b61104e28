package command_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/health/command"
)

// director is set in the environment of a copy of this test program that
// plays the director: with ambient capabilities and a nice value.
const director = "PORTICO_TEST_DIRECTOR"

// ambient is what the director has of CAP_NET_ADMIN and CAP_NET_RAW.
const ambient = "CapAmb:\t0000000000003000\n"

func TestMain(m *testing.M) {
	if os.Getenv(director) != "" {
		os.Exit(direct())
	}
	goleak.VerifyTestMain(m)
}

// direct runs what stands in its arguments, as the director would.
func direct() int {
	out, err := command.Command{Args: os.Args[1:], User: os.Getenv("RUN_AS")}.Run(context.Background())
	if err != nil {
		fmt.Fprint(os.Stderr, err)
		return 1
	}
	io.WriteString(os.Stdout, out)
	// /proc/self is the main thread, which is most likely the one that Run had
	// at hand.
	if own, err := os.ReadFile("/proc/self/status"); err != nil || !strings.Contains(string(own), ambient) {
		fmt.Fprintf(os.Stderr, "the director itself has lost what its child must not have: %v\n%s", err, own)
		return 1
	}
	return 0
}

func sh(script string, args ...string) command.Command {
	return command.Command{Args: append([]string{"/bin/sh", "-c", script, "sh"}, args...)}
}

func TestRun(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	for name, tt := range map[string]struct {
		command command.Command
		output  string
		err     string
	}{
		"passes":      {command: sh("echo one; echo two >&2"), output: "one\ntwo\n"},
		"no shell":    {command: command.Command{Args: []string{"/bin/echo", "$HOME; *"}}, output: "$HOME; *\n"},
		"stdin":       {command: command.Command{Args: []string{"/bin/cat"}, Stdin: []byte("in")}, output: "in"},
		"unread":      {command: command.Command{Args: []string{"/bin/true"}, Stdin: make([]byte, 1<<20)}},
		"no stdin":    {command: command.Command{Args: []string{"/bin/cat"}}},
		"environment": {command: command.Command{Args: []string{"/usr/bin/env"}, Env: []string{"A=b c"}}, output: "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nA=b c\n"},
		"directory":   {command: command.Command{Args: []string{"/bin/pwd"}}, output: "/\n"},
		"exit code":   {command: sh("echo why; exit 3"), output: "why\n", err: "exit status 3: why"},
		"silent":      {command: sh("exit 3"), err: "exit status 3"},
		"last line":   {command: sh(`printf 'a\nb\033[1m\tc\n\n'; exit 1`), output: "a\nb\033[1m\tc\n\n", err: "exit status 1: b [1m c"},
		"long line":   {command: sh("printf '%0300d' 7; exit 1"), output: fmt.Sprintf("%0300d", 7), err: "exit status 1: " + strings.Repeat("0", 200) + "…"},
		"signal":      {command: sh("kill -TERM $$"), err: "signal: terminated"},
		"cut":         {command: sh("yes | head -c 1000000; echo end"), output: strings.Repeat("y\n", 2048)},
		"missing":     {command: command.Command{Args: []string{"/no/such"}}, err: "fork/exec /no/such: no such file or directory"},
		"empty":       {command: command.Command{}, err: "no program to run"},
		"no user":     {command: command.Command{Args: []string{"/bin/true"}, User: "nobody-here"}, err: `run as "nobody-here": user: unknown user nobody-here`},
	} {
		t.Run(name, func(t *testing.T) {
			output, err := tt.command.Run(t.Context())
			if output != tt.output {
				t.Errorf("output %q, want %q", output, tt.output)
			}
			if got := text(err); got != tt.err {
				t.Errorf("error %q, want %q", got, tt.err)
			}
			noChildren(t)
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// noChildren fails if a child, dead or alive, was not waited for.
func noChildren(t *testing.T) {
	t.Helper()
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: pid %d, %v", pid, err)
	}
}

// gone fails unless the process ends soon.
func gone(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives on: %s", pid, stat)
		}
		runtime.Gosched()
	}
}

func TestTimeoutKillsTheWholeGroup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	// The grandchild ignores what a polite stop would send, and holds the pipe.
	out, err := sh(`sh -c 'trap "" TERM HUP INT; echo $$; while :; do sleep 60; done' & wait`).Run(ctx)
	// It says how long it really took.
	if got := text(err); !strings.HasPrefix(got, "timeout after 2") || !strings.HasSuffix(got, "ms: "+strings.TrimSpace(out)) {
		t.Errorf("got %q, want a timeout after some 200ms, and %s", got, out)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	gone(t, strings.TrimSpace(out))
	noChildren(t)
}

func TestLeftoversAreKilled(t *testing.T) {
	out, err := sh(`sleep 60 & echo $!`).Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	gone(t, strings.TrimSpace(out))
}

// Who leaves the group is none of ours, but must not hold up the caller.
func TestRunawayDoesNotBlock(t *testing.T) {
	began := time.Now()
	out, err := sh(`setsid sleep 60 & echo $!`).Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	var pid int
	if _, err := fmt.Sscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := sh("sleep 60").Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := sh("echo ran").Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after the end: %v", err)
	}
	noChildren(t)
}

// asDirector runs args from a process with ambient capabilities and the nice
// value or policy that prepare gives the thread it is started from.
func asDirector(t *testing.T, prepare func() error, env []string, args ...string) (string, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("PORTICO_LAB") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(env, director+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
	}
	oomScore(t, "100")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with what prepare did to it
		if err := prepare(); err != nil {
			done <- err
			return
		}
		done <- cmd.Run()
	}()
	if err := <-done; err != nil && errs.Len() == 0 {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

// oomScore sets this process's, which children inherit, for one test.
func oomScore(t *testing.T, score string) {
	const file = "/proc/self/oom_score_adj"
	old, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(score), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(file, old, 0) })
}

func TestInheritsNothing(t *testing.T) {
	nice := func(n int) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, n) }
	realtime := func() error {
		return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 5}, 0)
	}
	for name, prepare := range map[string]func() error{
		"nice":            func() error { return nice(-15) },
		"real time":       realtime,
		"nice, real time": func() error { return errors.Join(nice(-15), realtime()) },
		"kind":            func() error { return nice(5) },
		"kind, real time": func() error { return errors.Join(nice(5), realtime()) },
	} {
		t.Run(name, func(t *testing.T) {
			// The OOM score is set just after the start: the shell waits for it.
			out, errs := asDirector(t, prepare, nil, "/bin/sh", "-c",
				"until grep -qx 0 /proc/self/oom_score_adj; do :; done; exec cat /proc/self/status /proc/self/stat")
			if errs != "" {
				t.Fatal(errs)
			}
			for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
				if !strings.Contains(out, set+":\t0000000000000000\n") {
					t.Errorf("%s is not empty in\n%s", set, out)
				}
			}
			_, stat, _ := strings.Cut(out, "(cat) ")
			f := strings.Fields(stat) // proc_pid_stat(5), from the third field
			nice, policy := f[19-3], f[41-3]
			want := "0"
			if strings.HasPrefix(name, "kind") {
				want = "5"
			}
			if nice != want || policy != "0" {
				t.Errorf("nice %s, policy %s: want %s, 0", nice, policy, want)
			}
		})
	}
}

func TestUser(t *testing.T) {
	kind := func() error { return nil }
	if _, errs := asDirector(t, kind, []string{"RUN_AS=daemon"}, "/usr/bin/id"); errs !=
		`run as "daemon": only root can change the user, and portico runs as uid 65534: leave user out` {
		t.Errorf("another user without root: %q", errs)
	}
	if out, errs := asDirector(t, kind, []string{"RUN_AS=nobody"}, "/usr/bin/id", "-un"); out != "nobody\n" {
		t.Errorf("the own user: %q %q", out, errs)
	}
	c := command.Command{Args: []string{"/bin/sh", "-c", "id -u; id -G; grep CapEff /proc/self/status"}, User: "daemon"}
	if out, err := c.Run(t.Context()); err != nil || out != "1\n1\nCapEff:\t0000000000000000\n" {
		t.Errorf("root as daemon: %q %v", out, err)
	}
}
