package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// systemd keeps the proxy's listening sockets while the proxy is restarted
// (FileDescriptorStoreMax= in its unit): who connects in between waits in the
// socket's queue instead of being refused.

// storeAgain is when systemd is given all sockets once more. It takes none from
// a successor that is not yet its main process, and ignores those that it has.
const storeAgain = 30 * time.Second

// storedPatience is how long a proxy that was restarted waits for its routes
// before it serves those who wait for it. Until then they would be told that
// there are none.
const storedPatience = 5 * time.Second

// runStore has systemd hold what sockets the proxy has, by name.
func (d *daemon) runStore(ctx context.Context, ready func()) error {
	again := time.NewTimer(storeAgain)
	defer again.Stop()
	for ready(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-d.l7.Moved():
		case <-again.C:
		}
		if err := d.store(); err != nil {
			d.log.Warn("store sockets with systemd: a restart would refuse connections", "err", err)
		}
	}
}

// store gives systemd the proxy's sockets, and takes back those that the proxy no
// longer has.
func (d *daemon) store() error {
	files, err := d.l7.Files()
	if err != nil {
		return err
	}
	for addr := range d.stored {
		if files[addr] == nil {
			d.notify.send("FDSTOREREMOVE=1\nFDNAME=" + storeName(addr))
			delete(d.stored, addr)
		}
	}
	for addr, f := range files {
		if serr := sendFile("FDSTORE=1\nFDNAME="+storeName(addr), f); serr != nil {
			err = fmt.Errorf("%s: %w", addr, serr)
		}
		d.stored[addr] = true
		f.Close()
	}
	return err
}

// sendFile is sd_pid_notify_with_fds(3).
func sendFile(state string, f *os.File) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	raw, err := f.SyscallConn() // Fd would make the socket a blocking one, for all who share it
	if err != nil {
		return err
	}
	to := &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.Sendmsg(s, []byte(state), unix.UnixRights(int(fd)), to, 0)
	})
	return errors.Join(err, serr)
}

// A name with systemd has no colons.
func storeName(addr string) string  { return strings.ReplaceAll(addr, ":", "/") }
func storedAddr(name string) string { return strings.ReplaceAll(name, "/", ":") }

// fromStore takes the sockets that systemd held while no process had them.
func fromStore() (map[string]net.Listener, error) {
	sockets := map[string]net.Listener{}
	for _, f := range activation.Files(true) {
		addr := storedAddr(f.Name())
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("socket %s of systemd: %w", addr, err)
		}
		if sockets[addr] != nil {
			l.Close() // the one before is as good
			continue
		}
		sockets[addr] = l
	}
	return sockets, nil
}
