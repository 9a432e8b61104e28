package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootTimeout is how long a guest may take to start the program. Four seconds
// are usual; a root with systemd on a loaded machine takes minutes.
const bootTimeout = 5 * time.Minute

// errBoot is why a guest that never came so far was ended.
var errBoot = errors.New("guest did not boot")

// runGuest boots a guest, runs the program in it and returns its exit status.
func (o options) runGuest(ctx context.Context, e env, k kernel) (int, error) {
	tty, err := o.terminal(e)
	if err != nil {
		return exitNoGuest, err
	}
	j, err := newJob(o.program, guestEnv(e.environ, o.out), e.dir, tty)
	if err != nil {
		return exitNoGuest, err
	}
	defer j.remove()
	m, err := o.machine(ctx, k, j)
	if err != nil {
		return exitNoGuest, err
	}
	con := &console{}
	if o.verbose {
		con.also = e.stderr
	}

	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err = o.emulate(ctx, m, j, e, con)
	if status, ok := j.status(); ok {
		return status, j.fetchKept()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout, fmt.Errorf("guest ended after %v (-timeout)%s", o.timeout, con)
	case errors.Is(err, context.Canceled):
		return exitNoGuest, errors.New("interrupted")
	case !j.started():
		return exitNoGuest, fmt.Errorf("%w: %w%s", errBoot, err, con)
	default:
		return exitNoGuest, fmt.Errorf("guest went down under the program: %w%s", err, con)
	}
}

// terminal is the size of the caller's terminal in the words of stty, and
// empty without -tty.
func (o options) terminal(e env) (string, error) {
	if !o.tty {
		return "", nil
	}
	ws, err := unix.IoctlGetWinsize(int(e.stdin.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return "", fmt.Errorf("-tty: standard input is no terminal: %w", err)
	}
	return fmt.Sprintf("rows %d cols %d", ws.Row, ws.Col), nil
}

// machine builds the initial RAM disk and says what to emulate.
func (o options) machine(ctx context.Context, k kernel, j *job) (machine, error) {
	m := machine{
		kernel: k.image(), initrd: filepath.Join(j.dir, "initrd"),
		mem: o.mem, cpus: o.cpus, counted: o.counted, tty: o.tty, forwards: o.forward,
	}
	root := o.root
	if root == "" {
		root = "/"
	}
	if o.init != "" {
		m.unit = "vm.target"
	}
	var own []share
	for i, dir := range o.share {
		own = append(own, share{fmt.Sprintf("share%d", i), dir, false})
	}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return m, err
		}
		own = append(own, share{"out", o.out, true})
	}
	m.shares = append([]share{{"root", root, false}, {"job", j.dir, true}, {"modules", k.modules(), false}}, own...)

	init, err := guestFiles.ReadFile("guest/init.sh")
	if err != nil {
		return m, err
	}
	files, err := initrd(ctx, k, init, []byte(confScript(o.init, own)))
	if err != nil {
		return m, err
	}
	f, err := os.Create(m.initrd)
	if err != nil {
		return m, err
	}
	return m, errors.Join(writeCPIO(f, files), f.Close())
}

// emulate runs qemu until the guest ends and all it said has been passed on.
// It always returns the reason that is left to tell if the guest gave no status.
func (o options) emulate(ctx context.Context, m machine, j *job, e env, con *console) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	boot := time.AfterFunc(bootTimeout, func() {
		if !j.started() {
			fail(fmt.Errorf("nothing for %v", bootTimeout))
		}
	})
	defer boot.Stop()

	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// On a polite signal qemu puts the terminal right.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = con
	if m.tty {
		cmd.Stdin, cmd.Stdout = e.stdin, os.Stdout
	}

	var copies sync.WaitGroup
	for _, w := range []io.Writer{con, e.stdout, e.stderr} { // in the order of consoleFD...
		r, pw, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer pw.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, pw)
		copies.Go(func() { passOn(w, r) })
	}
	err := cmd.Run()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	copies.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("qemu: %w", err)
	}
	return errors.New("it powered off")
}

// passOn copies all of r to w. When w takes no more it reads on, so that a
// closed pipe does not stall the guest.
func passOn(w io.Writer, r io.Reader) {
	if _, err := io.Copy(w, r); err != nil {
		io.Copy(io.Discard, r)
	}
}
