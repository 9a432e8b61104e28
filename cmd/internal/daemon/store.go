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
// socket's queue instead of being refused. So does who begins a connection of
// HTTP/3, whose packets wait in the newest socket of UDP.

// storeAgain is when systemd is given all sockets once more, the first time; each
// wait is twice the one before, up to storeLast. It takes none from a successor
// that is not yet its main process, and ignores those that it has.
const (
	storeAgain = time.Second
	storeLast  = 32 * time.Second
)

// storedPatience is how long a proxy that was restarted waits for its routes
// before it serves those who wait for it. Until then they would be told that
// there are none.
const storedPatience = 5 * time.Second

// runStore has systemd hold what sockets the proxy has, by name.
func (d *daemon) runStore(ctx context.Context, ready func()) error {
	wait := storeAgain
	again := time.NewTimer(wait)
	defer again.Stop()
	for ready(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-d.l7.Moved():
		case <-again.C:
			if wait *= 2; wait <= storeLast {
				again.Reset(wait)
			}
		}
		if err := d.store(); err != nil {
			d.log.Warn("store sockets with systemd: a restart would refuse connections", "err", err)
		}
	}
}

// store gives systemd the proxy's sockets, and takes back those that the proxy no
// longer has.
func (d *daemon) store() error {
	streams, err := d.l7.Files()
	if err != nil {
		return err
	}
	packets, err := d.l7.PacketFiles()
	files := make(map[string]*os.File, len(streams)+len(packets))
	for addr, f := range streams {
		files[storeName(addr)] = f
	}
	for addr, f := range packets {
		files[packetName(addr)] = f
	}
	for name := range d.stored {
		if files[name] == nil {
			d.notify.send("FDSTOREREMOVE=1\nFDNAME=" + name)
			delete(d.stored, name)
		}
	}
	for name, f := range files {
		state := "FDSTORE=1\nFDNAME=" + name
		if isPacketName(name) {
			// It may be another one than before. One of UDP is kept whatever
			// the network says of what was sent by it.
			d.notify.send("FDSTOREREMOVE=1\nFDNAME=" + name)
			state += "\nFDPOLL=0"
		}
		if serr := sendFile(state, f); serr != nil {
			err = fmt.Errorf("%s: %w", name, serr)
		}
		d.stored[name] = true
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

// A name with systemd has no colons. That of a socket of UDP begins as no
// address does.
func storeName(addr string) string  { return strings.ReplaceAll(addr, ":", "/") }
func packetName(addr string) string { return packetPrefix + storeName(addr) }

func isPacketName(name string) bool { return strings.HasPrefix(name, packetPrefix) }

func storedAddr(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, packetPrefix), "/", ":")
}

const packetPrefix = "udp@"

// names are those by which systemd has what was inherited from it.
func (in inheritance) names() map[string]bool {
	names := map[string]bool{}
	for addr := range in.sockets {
		names[storeName(addr)] = true
	}
	for addr := range in.packets {
		names[packetName(addr)] = true
	}
	return names
}

// fromStore takes the sockets that systemd held while no process had them.
func fromStore() (inheritance, error) {
	in := inheritance{sockets: map[string]net.Listener{}, packets: map[string]net.PacketConn{}}
	for _, f := range activation.Files(true) {
		if err := in.take(f); err != nil {
			return inheritance{}, fmt.Errorf("socket %s of systemd: %w", f.Name(), err)
		}
	}
	return in, nil
}

// take makes f one of in's sockets. Of two at one address the one before is as
// good.
func (in inheritance) take(f *os.File) error {
	defer f.Close()
	addr := storedAddr(f.Name())
	if isPacketName(f.Name()) {
		pc, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		if in.packets[addr] != nil {
			return pc.Close()
		}
		in.packets[addr] = pc
		return nil
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	if in.sockets[addr] != nil {
		return l.Close()
	}
	in.sockets[addr] = l
	return nil
}
