package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/health/command"
)

// An upgrade goes on as the binary that stands on disk now, after the package
// manager has put a new one there; SIGUSR2 asks for it.
//
// The director replaces itself in place. The kernel keeps addresses and
// services, and the new program adopts them as after a crash: it hears nobody
// else for one advert interval and goes on, while the peers' down timer of
// three has not run out. The proxy holds connections, which no exec survives:
// it starts its successor on the same sockets, and ends when its own last
// request has been answered.

// successorTimeout bounds how long a successor may take to be ready. It reads
// its routes first, perhaps from an API server that is slow.
const successorTimeout = 60 * time.Second

// upgrade returns errHandedOver when a successor serves, an error when the
// running program goes on, and not at all when it was replaced in place.
func (d *daemon) upgrade(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if d.l7 != nil && (d.vip != nil || d.l4 != nil) {
		return errors.New("this process runs director and proxy in one: restart it instead")
	}
	d.notify.alive() // what follows takes its time
	if err := d.understood(ctx, exe); err != nil {
		return err
	}
	if d.l7 == nil {
		return fmt.Errorf("exec %s: %w", exe, syscall.Exec(exe, append([]string{exe}, d.opts.Args...), os.Environ()))
	}
	return d.startSuccessor(exe)
}

// understood lets exe check the configuration: a binary that does not
// understand the file must not get the chance. It runs as the operator's
// commands do, because a realtime one would make the director's adverts late.
func (d *daemon) understood(ctx context.Context, exe string) error {
	path, err := filepath.Abs(d.opts.ConfigPath) // it runs in "/"
	if err != nil {
		return err
	}
	check := command.Command{Args: []string{exe, "check", "--config", path, "--only", strings.Join(d.opts.Only, ",")}}
	if _, err := check.Run(ctx); err != nil {
		return fmt.Errorf("%s check: %w", exe, err)
	}
	return nil
}

var errHandedOver = errors.New("a successor serves")

// startSuccessor starts exe on our sockets and waits until it is ready.
func (d *daemon) startSuccessor(exe string) error {
	sockets, err := d.l7.Files()
	if err != nil {
		return err
	}
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer readyR.Close()
	cmd := exec.Command(exe, d.opts.Args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{readyW}
	var names []string
	for addr, f := range sockets {
		defer f.Close()
		names = append(names, addr)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	// WATCHDOG_PID names us: with it the successor would leave systemd's
	// watchdog to starve, and be killed by it.
	environ := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "WATCHDOG_PID=") })
	cmd.Env = append(environ, inheritEnv+"="+strings.Join(names, " "))
	if d.notify.heard() {
		// As systemd's own child. It kills the main process of a service that
		// is not its child right behind SIGTERM, without a drain
		// (unit_kill_context in systemd's src/core/unit.c).
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}
	}
	if err := cmd.Start(); err != nil {
		readyW.Close()
		return err
	}
	readyW.Close() // the successor's copy is the only one now: its death ends the read
	if err := d.awaitSuccessor(readyR); err != nil {
		killErr := cmd.Process.Kill()
		_ = cmd.Wait() // it says "killed", or that systemd waits for it
		return errors.Join(fmt.Errorf("successor not ready: %w", err), killErr)
	}
	d.notify.mainPID(cmd.Process.Pid)
	d.log.Info("successor serves, finishing what was begun", "pid", cmd.Process.Pid)
	d.socket.Leave()
	d.web.Set(admin.WebConfig{}) // the successor tries for its port
	d.l7.HandOver()
	return errHandedOver
}

// awaitSuccessor reads the byte by which a successor says that it is ready.
// Until then this process is the one that systemd's watchdog watches.
func (d *daemon) awaitSuccessor(ready *os.File) error {
	for limit := time.Now().Add(successorTimeout); ; {
		d.notify.alive()
		if err := ready.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, err := ready.Read(make([]byte, 1))
		if n == 1 {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(limit) {
			return err
		}
	}
}
