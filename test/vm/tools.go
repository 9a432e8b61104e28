package main

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// busybox is the guest's first program. It must be the static build, because
// the initial RAM disk holds no libraries.
const busybox = "/bin/busybox"

// A tool is a program of this machine and the Debian package it comes in.
type tool struct{ name, pkg string }

func tools() []tool {
	return []tool{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"depmod", "kmod"},
		{"dpkg", "dpkg"},
		{"xz", "xz-utils"}, // busybox's own knows no x86 filter
		{busybox, "busybox-static"},
	}
}

// ensureTools installs what is missing, or says how to.
func ensureTools(ctx context.Context, say func(string, ...any)) error {
	var missing []string
	for _, t := range tools() {
		if _, err := exec.LookPath(t.name); err != nil || t.name == busybox && !static(busybox) {
			missing = append(missing, t.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if os.Getuid() != 0 {
		return fmt.Errorf("missing programs; as root: apt-get %s", strings.Join(install, " "))
	}
	say("installing %s", strings.Join(missing, " "))
	// Lists that are missing or name versions since replaced are the usual
	// reason for a refusal, so one refusal is answered by new lists.
	if _, err := command(ctx, "", "apt-get", install...); err == nil {
		return nil
	}
	if _, err := command(ctx, "", "apt-get", "update"); err != nil {
		return err
	}
	_, err := command(ctx, "", "apt-get", install...)
	return err
}

// static reports whether the program asks for no dynamic loader.
func static(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// command runs a program of this machine in dir and returns its output; the
// error of one that failed carries what it said.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}
