package admin

import (
	"io"
	"net"
	"net/netip"
	"testing"
)

// arrivals is a listener with connections that have come in already.
type arrivals struct{ conns []net.Conn }

func (a *arrivals) Accept() (net.Conn, error) {
	if len(a.conns) == 0 {
		return nil, io.EOF
	}
	c := a.conns[0]
	a.conns = a.conns[1:]
	return c, nil
}

func (a *arrivals) Close() error   { return nil }
func (a *arrivals) Addr() net.Addr { return nil }

// arrival is a connection that knows where it is from, and whether it was closed.
type arrival struct {
	net.Conn
	from   string
	closed int
}

func (a *arrival) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(a.from), 1))
}

func (a *arrival) Close() error {
	a.closed++
	return nil
}

// TestPerSource: a source that has its share is sent away, others and loopback
// are not, and what is closed makes room once.
func TestPerSource(t *testing.T) {
	in := &arrivals{}
	l := perSource(in, 2)
	accept := func(from string) net.Conn {
		in.conns = []net.Conn{&arrival{from: from}}
		sent := in.conns[0].(*arrival)
		c, err := l.Accept()
		if refused := err != nil; refused != (sent.closed == 1) {
			t.Fatalf("%s: %v, closed %d times", from, err, sent.closed)
		}
		return c
	}
	first := accept("192.0.2.1")
	for _, c := range []struct {
		from string
		let  bool
	}{
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"::ffff:192.0.2.1", false},
		{"192.0.2.2", true},
		{"127.0.0.1", true},
		{"127.0.0.1", true},
		{"::1", true},
		{"127.0.0.1", true},
		{"2001:db8::1", true},
		{"2001:db8::2", true},
		{"2001:db8::3", false},
		{"2001:db8:0:1::3", true},
		{"fe80::1%eth0", true},
	} {
		if got := accept(c.from); (got != nil) != c.let {
			t.Errorf("%s: %v, want %v", c.from, got != nil, c.let)
		}
	}
	first.Close()
	first.Close()
	if accept("192.0.2.1") == nil {
		t.Error("what was closed made no room")
	}
	if accept("192.0.2.1") != nil {
		t.Error("what was closed twice made room twice")
	}
}
