package daemon

import (
	"log/slog"
	"os"
	"strconv"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// A notifier tells systemd how the process does (sd_notify(3)). Without
// systemd it says nothing.
type notifier struct{ log *slog.Logger }

func (n *notifier) ready()    { n.send(sd.SdNotifyReady) }
func (n *notifier) stopping() { n.send(sd.SdNotifyStopping) }
func (n *notifier) alive()    { n.send(sd.SdNotifyWatchdog) }

// reloading carries the time of the monotonic clock, as Type=notify-reload
// asks for since systemd 253.
func (n *notifier) reloading() {
	n.send(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec())
}

func (n *notifier) send(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		n.log.Warn("notify systemd", "err", err)
	}
}

// heard reports whether there is a systemd to notify.
func (n *notifier) heard() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// mainPID makes pid the service's main process (NotifyAccess=main lets the
// present one say so). The watchdog is fed along with it: only from then on can
// the new one do so, at its own next tick.
func (n *notifier) mainPID(pid int) {
	n.send("MAINPID=" + strconv.Itoa(pid) + "\n" + sd.SdNotifyWatchdog)
}

// watchdog ticks at half of the unit's WatchdogSec, or never without one.
func (n *notifier) watchdog() (<-chan time.Time, func()) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("watchdog interval of systemd", "err", err)
	}
	if interval <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(interval / 2)
	return t.C, t.Stop
}
