package command

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// shed makes the calling thread, of ordinary scheduling, one whose children are
// ordinary processes. Capabilities and nice value are a thread's own in Linux,
// and a child has those of the thread that starts it.
func shed() error {
	// The ambient set is what a child keeps. The inheritable one gives nothing
	// by itself (capabilities(7)), and the unit's filter refuses capset.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	// The kernel's answer counts from 20 down (getpriority(2)).
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return fmt.Errorf("read nice value: %w", err)
	}
	if prio <= 20 {
		return nil // a lower one would need a privilege
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 0); err != nil {
		return fmt.Errorf("leave the director's nice value: %w", err)
	}
	return nil
}

// credential returns what a child needs to run as the named user, nil where
// it does so anyway.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("run as %q: %w", name, err)
	}
	uid, err := number(u.Uid)
	if err != nil || uid == uint32(os.Geteuid()) {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("run as %q: only root can change the user, and portico runs as uid %d: leave user out", name, os.Geteuid())
	}
	gid, err := number(u.Gid)
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uid, Gid: gid}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %q: %w", name, err)
	}
	for _, g := range groups {
		id, err := number(g)
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, id)
	}
	return c, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
