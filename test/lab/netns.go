package lab

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A namespace is a network namespace and a netlink socket into it.
type namespace struct {
	name  string
	named bool
	fd    netns.NsHandle
	links *netlink.Handle
}

// do runs fn on a thread inside the namespace. Goroutines that fn starts are
// not inside; sockets that fn opens stay inside for good.
func (ns *namespace) do(fn func()) error {
	var err error
	onThread(func() {
		if err = netns.Set(ns.fd); err == nil {
			fn()
		}
	})
	if err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns.name, err)
	}
	return nil
}

// onThread runs fn on a thread that nothing runs on afterwards, so that fn may
// leave it in any namespace. If fn ends its goroutine, as t.Fatal does, the
// caller's ends as well.
func onThread(fn func()) {
	done := make(chan struct{})
	returned := false
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, which ends the thread
		fn()
		returned = true
	}()
	<-done
	if !returned {
		runtime.Goexit()
	}
}

// killAll ends the processes that live in the namespace, such as children
// that left their parent's process group.
func (ns *namespace) killAll() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.fd), &st); err != nil {
		return err
	}
	inside := fmt.Sprintf("net:[%d]", st.Ino)
	paths, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	for _, path := range paths {
		if link, err := os.Readlink(path); err != nil || link != inside {
			continue // ended since, or somewhere else
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %d in %s: %w", pid, ns.name, err)
		}
	}
	return nil
}

func (ns *namespace) close() error {
	if ns.links != nil {
		ns.links.Close()
	}
	var err error
	if ns.named {
		err = netns.DeleteNamed(ns.name)
	}
	return errors.Join(err, ns.fd.Close())
}

// awaitUp waits until the kernel has noticed that the interface has a carrier,
// which it does some time after the fact. A switch drops what comes earlier.
func (ns *namespace) awaitUp(t T, ifname string) {
	t.Helper()
	Eventually(t, 10*time.Second, ns.name+": carrier of "+ifname, func() error {
		l, err := ns.links.LinkByName(ifname)
		if err != nil {
			return err
		}
		if state := l.Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("it is %v", state)
		}
		return nil
	})
}

// writeSysctl sets a kernel parameter. What lies below net is that of the
// namespace of the thread that opens the file.
func (ns *namespace) writeSysctl(key, value string) error {
	var err error
	if e := ns.do(func() { err = os.WriteFile(sysctlPath(key), []byte(value), 0) }); e != nil {
		return e
	}
	return err
}

func sysctlPath(key string) string {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return path.Join("/proc/sys", key)
}

// ownSys gives the calling thread, which is inside a network namespace, a /sys
// that shows its interfaces, as ip netns exec does. What is mounted below /sys
// and belongs to no namespace stays in its place.
func ownSys() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	// Slave, not private: what the machine unmounts must not be held here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts slaves: %w", err)
	}
	keep := map[string]int{}
	for _, path := range []string{"/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing"} {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			continue
		}
		defer unix.Close(fd)
		keep[path] = fd
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	for path, fd := range keep {
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("keep %s: %w", path, err)
		}
	}
	return nil
}
