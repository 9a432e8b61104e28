// Package command runs the operator's programs: checks, tracking, notifications.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/apart"
)

const (
	// maxOutput bounds what is kept of a program's output. The rest is read
	// and dropped: a full pipe would block the program.
	maxOutput = 4 << 10
	// maxLine bounds what an error quotes of it, in characters.
	maxLine = 200
	// pipeDelay is how long output is still read after the program has ended:
	// a process that left its group may hold the pipe for ever.
	pipeDelay   = 500 * time.Millisecond
	defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// A Command is a program to run. No shell reads it. It runs in "/", in a
// process group of its own, and without the director's capabilities,
// scheduling policy, nice value, OOM score and environment.
type Command struct {
	// Args are the program and its arguments. A program without a slash is
	// looked up in the director's PATH.
	Args []string
	// User is whom it runs as; "" is the director's own user.
	User string
	// Env are "NAME=value" beside PATH.
	Env []string
	// Stdin is what it may read; nothing by default.
	Stdin []byte
}

// Run runs the program to its end, or until ctx ends, and returns what it
// wrote to stdout and stderr, the first 4 KiB. The error gives the exit code,
// the signal or the timeout, with the last line of the output.
//
// The program is over when its first process is. What that leaves behind in
// its process group is killed, as is all of the group when ctx ends.
func (c Command) Run(ctx context.Context) (output string, err error) {
	cmd, err := c.prepare()
	if err != nil {
		return "", err
	}
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := runApart(ctx, cmd); err != nil {
		output = out.String()
		return output, explain(ctx, err, time.Since(began), output)
	}
	return out.String(), nil
}

func (c Command) prepare() (*exec.Cmd, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("no program to run")
	}
	who, err := credential(c.User)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir = "/"
	// What systemd tells the director (NOTIFY_SOCKET, WATCHDOG_PID) is not
	// meant for its children.
	cmd.Env = append([]string{defaultPath}, c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: who}
	cmd.WaitDelay = pipeDelay
	if len(c.Stdin) > 0 {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	return cmd, nil
}

// runApart runs cmd from a thread that has given up what a child would inherit.
func runApart(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return apart.Do(func() error {
		if err := shed(); err != nil {
			return err
		}
		return run(ctx, cmd)
	})
}

func run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	// The memory of a program that leaks must not be dearer than all else. Not
	// possible before the start: the value is the whole director's. A program
	// that has ended already needs it no more.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("0"), 0)

	group := -cmd.Process.Pid
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(group, unix.SIGKILL)
	})
	// Until it is reaped the process keeps its number, and so the group is
	// this one and no other.
	waitable(cmd.Process.Pid)
	if !stop() {
		<-killed
	}
	_ = unix.Kill(group, unix.SIGKILL)
	err := cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well; who holds the pipe is no part of it
	}
	return err
}

// waitable blocks until the process has ended, and leaves it to be reaped.
func waitable(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// explain says in one line why a program failed.
func explain(ctx context.Context, err error, took time.Duration, output string) error {
	var exit *exec.ExitError
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.DeadlineExceeded):
		err = fmt.Errorf("timeout after %s", took.Round(10*time.Millisecond))
	case cause != nil:
		err = cause
	case !errors.As(err, &exit):
		return err // it never ran
	}
	if line := lastLine(output); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// lastLine returns the last line that is not empty, fit for a log.
func lastLine(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > maxLine {
		return string(r[:maxLine]) + "…"
	}
	return s
}

// head keeps the beginning of what is written to it. Only one goroutine
// writes: exec copies stdout and stderr by one pipe where both are the same
// writer.
type head struct{ kept []byte }

func (h *head) Write(b []byte) (int, error) {
	h.kept = append(h.kept, b[:min(len(b), maxOutput-len(h.kept))]...)
	return len(b), nil
}

func (h *head) String() string { return string(h.kept) }
