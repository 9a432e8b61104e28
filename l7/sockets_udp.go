package l7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/portico-lb/portico/l7/proxy"
)

// A packetSocket is one that HTTP/3 is served on. Every server of an entrypoint
// has one of its own, and closes it: the engine has the kernel tell apart which
// packets are whose, those of the process before this one, too.
type packetSocket struct {
	net.PacketConn
	served bool
}

// packets returns a socket for HTTP/3 at addr: one that a process before this
// one has left, in which clients wait perhaps, or a new one.
func (l *L7) packets(ctx context.Context, addr string) (net.PacketConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.datagrams[addr]
	if s == nil || s.served {
		pc, err := listenUDP(ctx, addr)
		if err != nil {
			return nil, err
		}
		s = &packetSocket{PacketConn: pc}
		l.datagrams[addr] = s
		ring(l.moved)
	}
	s.served = true
	return s.PacketConn, nil
}

// PacketFiles returns a copy of the newest socket of HTTP/3 at each address, for
// the process after this one to find what clients have sent meanwhile. The caller
// closes them.
func (l *L7) PacketFiles() (map[string]*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]*os.File{}
	for addr, s := range l.datagrams {
		u, ok := s.PacketConn.(*net.UDPConn)
		if !ok {
			continue
		}
		f, err := u.File()
		if errors.Is(err, net.ErrClosed) {
			continue // its server has ended
		}
		if err != nil {
			return nil, fmt.Errorf("share %s of UDP: %w", addr, err)
		}
		out[addr] = f
	}
	return out, nil
}

// forgetPackets lets go of the sockets at addresses where c serves no HTTP/3.
func (l *L7) forgetPackets(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, s := range l.datagrams {
		if c.servesHTTP3(addr) {
			continue
		}
		if !s.served {
			s.Close()
		}
		delete(l.datagrams, addr)
		ring(l.moved)
	}
}

func (c Config) servesHTTP3(addr string) bool {
	return slices.ContainsFunc(c.Entrypoints, func(e Entrypoint) bool { return e.HTTP.HTTP3 && e.Listen == addr })
}

// listenUDP binds a socket beside those that are bound.
func listenUDP(ctx context.Context, addr string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: proxy.ControlHTTP3}
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
	served := l.next.Load()
	for _, e := range c.Entrypoints {
		if !e.HTTP.HTTP3 || served.servesHTTP3(e.Listen) {
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
