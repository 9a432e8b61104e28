package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostHasIPVS reports whether this machine's own kernel has IPVS, loading its
// module if that can be done.
func hostHasIPVS() bool {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		return true
	}
	return os.Getuid() == 0 && exec.Command("modprobe", "-q", "ip_vs").Run() == nil
}

// runHere runs the program on this machine, in network and mount namespaces
// of its own.
func (o options) runHere(ctx context.Context, e env) (int, error) {
	if os.Getuid() != 0 {
		return exitNoGuest, errors.New("namespaces need root")
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := enterNamespaces(); err != nil {
		return exitNoGuest, err
	}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return exitNoGuest, err
		}
	}
	cmd := exec.CommandContext(ctx, o.program[0], o.program[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(e.environ, "PORTICO_LAB=1")
	if o.out != "" {
		cmd.Env = append(cmd.Env, "PORTICO_OUT="+o.out)
	}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = e.dir, e.stdin, e.stdout, e.stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return exitTimeout, fmt.Errorf("program ended after %v (-timeout)", o.timeout)
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case err != nil:
		return exitNoGuest, err
	}
	return 0, nil
}

// enterNamespaces moves the calling thread, which main has locked, and so all
// it starts, into fresh namespaces with what a guest has, too: lo up, and a
// /sys and /run/netns that belong to them.
func enterNamespaces() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("netns", "/run/netns", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run/netns: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
