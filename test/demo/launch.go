package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Files through which the edge and its launcher talk while it is held. The
// edge may be in a machine that no signal reaches.
const (
	heldFile  = "held"  // all was shown, the edge stays up
	leaveFile = "leave" // end it
)

// leaveTime is how long an edge may take to end in good order.
const leaveTime = 20 * time.Second

// launch starts the program again where the kernel has IPVS.
func (o options) launch(e env) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	start := time.Now()
	s := &screen{w: e.stdout, color: o.color}
	s.say("An edge of three nodes needs a kernel with IPVS: this machine's own, or Debian's in an emulated machine,\n" +
		"which boots in 5 to 30 seconds.")
	dir, err := os.MkdirTemp("", "portico-demo-")
	if err != nil {
		fmt.Fprintf(e.stderr, "demo: %v\n", err)
		return 1
	}
	defer os.RemoveAll(dir)

	cmd := o.again(e, dir)
	err = supervise(ctx, cmd, dir)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && !exists(dir, heldFile):
		fmt.Fprintln(e.stderr, "demo: interrupted")
		return 130
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintf(e.stderr, "demo: %v\n", err)
		return 1
	}
	if !o.hold {
		s.say("The whole of it took %v.", time.Since(start).Round(time.Second))
	}
	return 0
}

// again is the program itself, run by vm.
func (o options) again(e env, dir string) *exec.Cmd {
	shell := o.hold && o.keyboard
	args := []string{"-auto", "-out", dir, "-timeout", "15m"}
	if o.hold {
		args = append(args, "-timeout", "240h")
	}
	if shell {
		args = append(args, "-tty")
	}
	args = append(args, "--", e.self, "-inside", "-portico", o.portico, "-vm", o.vm,
		fmt.Sprintf("-hold=%v", o.hold), fmt.Sprintf("-color=%v", o.color), fmt.Sprintf("-keyboard=%v", shell))
	cmd := exec.Command(o.vm, args...)
	cmd.Stdout, cmd.Stderr = e.stdout, e.stderr
	// What an interrupted edge leaves behind is removed with dir.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	// A terminal's interrupt is for the launcher alone, unless the terminal
	// is handed on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: !shell}
	if shell {
		cmd.Stdin = e.stdin
	}
	return cmd
}

// supervise runs the command. When ctx ends, an edge that is held is asked to
// end, and one that is not is ended.
func supervise(ctx context.Context, cmd *exec.Cmd, dir string) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		if exists(dir, heldFile) && os.WriteFile(filepath.Join(dir, leaveFile), nil, 0o600) == nil {
			select {
			case <-ended:
				return
			case <-time.After(leaveTime):
			}
		}
		cmd.Process.Signal(syscall.SIGTERM)
	}()
	err := cmd.Wait()
	close(ended)
	<-asked
	return err
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
