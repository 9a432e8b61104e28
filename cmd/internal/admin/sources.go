package admin

import (
	"net"
	"net/netip"
	"sync"
)

// sourceConns is how many connections a source may have of webConns: a browser
// opens six, and several people may stand behind one address.
const sourceConns = 64

// A sourceListener closes what a source opens beyond its share, so that one that
// takes all it gets leaves places to others. Loopback may have all: whoever comes
// through a tunnel or a proxy on the node is the same source there.
type sourceListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// perSource has l accept so many connections at once of each source.
func perSource(l net.Listener, most int) net.Listener {
	return &sourceListener{Listener: l, most: most, open: map[netip.Prefix]int{}}
}

func (l *sourceListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := source(c.RemoteAddr())
		if !from.IsValid() {
			return c, nil
		}
		if l.enter(from) {
			return &sourceConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		c.Close()
	}
}

func (l *sourceListener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *sourceListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// source is the address that a connection comes from, of IPv6 the network of 64
// bits, in which a host takes as many addresses as it likes. It is zero for what
// is not counted.
func source(a net.Addr) netip.Prefix {
	t, isTCP := a.(*net.TCPAddr)
	if !isTCP {
		return netip.Prefix{}
	}
	from := t.AddrPort().Addr().Unmap().WithZone("")
	if from.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if from.Is6() {
		bits = 64
	}
	p, _ := from.Prefix(bits) // bits are right; of no address the zero value is
	return p
}

// A sourceConn makes room for another of its source where it is closed.
type sourceConn struct {
	net.Conn
	leave func()
}

func (c *sourceConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
