package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/vip"
)

// hurry lets no other program on the node make adverts late, where this process
// may see to that itself (LimitRTPRIO). Below systemd it may not: the unit has
// `portico realtime` do it.
//
// Memory is not locked: a short trial under reclaim showed no difference, and a
// Go heap locked in whole takes four times the memory.
func hurry(log *slog.Logger, groups []vip.Group) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_RTPRIO, &l)
	switch {
	case err == nil && l.Cur > 0:
		err = BeRealtime(os.Getpid())
	case err == nil && !(&notifier{log}).heard() && slices.ContainsFunc(groups, hasty):
		err = errors.New("the limit is 0: run `portico realtime` with the number of this process")
	}
	if err != nil {
		log.Warn("adverts may be late under load: no realtime scheduling", "err", err)
	}
}

// hasty reports whether a group's adverts come so often that an ordinary
// program may not get a processor in time: up to 140 ms were waited for one
// with all of them taken (make bench-failover), and three intervals are the limit.
func hasty(g vip.Group) bool {
	return g.Owner == vip.OwnerVRRP && g.VRRP.AdvertInterval < 100*time.Millisecond
}

// BeRealtime gives all threads of a process the lowest realtime priority: before
// all ordinary programs whatever their weight and group, behind the kernel's own
// threads. Threads started later inherit it, so that it ends when a look at all
// of them finds none without.
//
// What the kernel refuses is not needed to serve: one that schedules realtime by
// groups may give the group of a service none (sched(7)). Were it the unit's
// CPUSchedulingPolicy, the director would not start there.
func BeRealtime(pid int) error {
	for {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		changed := false
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			given, err := giveRealtime(tid)
			if err != nil && !errors.Is(err, unix.ESRCH) { // ended meanwhile
				return fmt.Errorf("thread %d: %w", tid, err)
			}
			changed = changed || given
		}
		if !changed {
			return nil
		}
	}
}

// giveRealtime changes a thread of ordinary scheduling; another policy is the
// operator's own choice.
func giveRealtime(tid int) (changed bool, err error) {
	have, err := unix.SchedGetAttr(tid, 0)
	if err != nil || have.Policy != unix.SCHED_NORMAL {
		return false, err
	}
	want := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	return true, unix.SchedSetAttr(tid, want, 0)
}
