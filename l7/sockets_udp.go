package l7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenUDP binds a socket for HTTP/3. Every server of an entrypoint has one of
// its own, that of the process before this one, too: the engine has the kernel
// tell them apart.
func listenUDP(ctx context.Context, addr string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var serr error
		err := raw.Control(func(fd uintptr) {
			serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, serr)
	}}
	pc, err := lc.ListenPacket(ctx, "udp", addr)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: the process needs CAP_NET_BIND_SERVICE for a port below 1024", err)
	case err != nil:
		return nil, fmt.Errorf("%w: another process listens there, or the address is not on this node: ss -lunp", err)
	}
	return pc, nil
}

// tryHTTP3 reports why HTTP/3 could not be served where c wants it and it is
// not served yet.
func (l *L7) tryHTTP3(c Config) error {
	served := l.next.Load().Entrypoints
	for _, e := range c.Entrypoints {
		same := func(o Entrypoint) bool { return o.Listen == e.Listen && o.HTTP.HTTP3 }
		if !e.HTTP.HTTP3 || slices.ContainsFunc(served, same) {
			continue
		}
		pc, err := listenUDP(context.Background(), e.Listen)
		if err != nil {
			return err
		}
		pc.Close()
	}
	return nil
}
