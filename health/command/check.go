package command

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Check says why args cannot be run, before they have to be: the operator is
// to learn of a mistyped path from `portico check`, not from the first failure.
func Check(args []string) error {
	if len(args) == 0 {
		return errors.New(`missing: name a program and its arguments, ["/usr/local/bin/program", "argument"]`)
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "\x00") }) {
		return errors.New("an argument contains a NUL byte: no program can be given one")
	}
	if !filepath.IsAbs(args[0]) {
		return fmt.Errorf("%q is no absolute path: name the program by one; there is no shell and no PATH", args[0])
	}
	info, err := os.Stat(args[0])
	switch {
	case errors.Is(err, os.ErrPermission): // of a directory that another user may enter
		return nil
	case err != nil:
		return fmt.Errorf("%w: install the program or correct the path", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is no program: chmod +x it, or name another", args[0])
	}
	return nil
}

// CheckUser says why no command can run as the user; "" is the process's own.
func CheckUser(name string) error {
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	euid := os.Geteuid()
	switch {
	case err != nil:
		return fmt.Errorf("%q is not known on this node: create the user or name another", name)
	case euid != 0 && u.Uid != strconv.Itoa(euid):
		return fmt.Errorf("%q cannot be had: portico runs as uid %d, and only root can change the user: leave it out", name, euid)
	}
	return nil
}
