package l7

import (
	"fmt"
	"net"
	"os"
	"slices"
)

// share returns a second listener on the socket bound to addr. What one of
// them accepts the other does not see, and closing one leaves the other open.
func (l *L7) share(addr string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sockets[addr] == nil {
		return nil, fmt.Errorf("listen on %s: not bound", addr)
	}
	return l.hold(addr)
}

// hold returns a further listener on the socket bound to addr, or one that binds
// it. The caller holds mu.
func (l *L7) hold(addr string) (net.Listener, error) {
	s, ok := l.sockets[addr].(*net.TCPListener)
	if !ok {
		return listen(addr)
	}
	f, err := s.File()
	if err != nil {
		return nil, fmt.Errorf("share %s: %w", addr, err)
	}
	defer f.Close()
	return net.FileListener(f)
}

// HandOver tells that a successor serves: the end needs no delay.
func (l *L7) HandOver() { l.handedOver.Store(true) }

// Files returns a copy of every listening socket, by address, for a successor
// process. The caller closes them.
func (l *L7) Files() (map[string]*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]*os.File{}
	for addr, s := range l.sockets {
		t, ok := s.(*net.TCPListener)
		if !ok {
			continue
		}
		f, err := t.File()
		if err != nil {
			return nil, fmt.Errorf("share %s: %w", addr, err)
		}
		out[addr] = f
	}
	return out, nil
}

// Moved rings when Files or PacketFiles would return others than before.
func (l *L7) Moved() <-chan struct{} { return l.moved }

// forget closes every socket that c does not want, nor the configuration that is
// to come.
func (l *L7) forget(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeBut(append(c.listens(), l.next.Load().listens()...))
}

// forgetAll closes every socket.
func (l *L7) forgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeBut(nil)
}

func (l *L7) closeBut(addrs []string) {
	for addr, s := range l.sockets {
		if !slices.Contains(addrs, addr) {
			s.Close()
			delete(l.sockets, addr)
			ring(l.moved)
		}
	}
}
