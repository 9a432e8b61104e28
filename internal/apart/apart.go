// Package apart runs what is not urgent beside a director that is realtime.
package apart

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Do calls a function on a thread of ordinary scheduling, which ends with it, and
// returns what it returns. The nice value is the process's own, as is all else
// that the thread has.
//
// A realtime thread that works for longer than the unit's LimitRTTIME without a
// pause is taken for one that runs wild, and the process is killed.
func Do(do func() error) error {
	done := make(chan error, 1)
	go on(do, done)
	return <-done
}

// on ends its goroutine while that is locked to its thread, which ends the thread.
func on(do func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread never ends, and is the one that shows what the
		// process is. While it is held here, others do the work.
		defer runtime.UnlockOSThread()
		done <- Do(do)
		return
	}
	if err := leaveRealtime(); err != nil {
		done <- fmt.Errorf("leave the director's scheduling policy: %w", err)
		return
	}
	done <- do()
}

// leaveRealtime gives the calling thread the ordinary policy. Not by
// sched_setattr: what that asks for the filter of RestrictRealtime cannot see,
// so the director's unit forbids it.
func leaveRealtime() error {
	policy, err := unix.SchedGetAttr(0, 0)
	if err != nil || policy.Policy == unix.SCHED_NORMAL {
		return err
	}
	var none int32 // struct sched_param: no priority
	if _, _, no := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_NORMAL, uintptr(unsafe.Pointer(&none))); no != 0 {
		return no
	}
	return nil
}
