package backend

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/socket"
)

// aged returns a pool of n endpoints that take connections, each with two idle ones
// of which nobody has looked whether they are fit.
func aged(t *testing.T, policy Policy, n int) (*Pool, *manual) {
	t.Helper()
	var at []netip.AddrPort
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		at = append(at, netip.MustParseAddrPort(l.Addr().String()))
	}
	p, clock := poolAt(t, policy, at...)
	for _, e := range p.plan.Load().endpoints {
		for range 2 {
			peer, other := net.Pipe()
			t.Cleanup(func() { peer.Close(); other.Close() })
			e.idle = append(e.idle, &Conn{Conn: other, TCP: new(socket.Conn), ep: e, reused: true, since: p.now()})
		}
	}
	t.Cleanup(p.CloseIdle)
	return p, clock
}

// connect wants a connection, pooled or new.
func connect(t *testing.T, p *Pool, c *Call, reused bool) *Conn {
	t.Helper()
	b, refusal := p.Connect(context.Background(), c)
	if refusal != 0 || b.Reused() != reused || b.Unseen() != reused {
		t.Fatalf("%v, %+v", refusal, b)
	}
	return b
}

// TestUnused: whose connection is not fit gets others of the same endpoint until one
// is, and has the turn, the place and the permission that it had.
func TestUnused(t *testing.T) {
	policy := limited(1, 0, time.Second)
	policy.Breaker = Breaker{Share: 0.5, Requests: 1, Open: time.Second}
	p, clock := aged(t, policy, 2)
	p.record(false, p.now())
	*clock = manual(time.Second) // the breaker lets one through
	c := &Call{Asks: true, Idempotent: true}
	first := connect(t, p, c, true)
	first.Unused(c)
	if _, refusal := p.Connect(context.Background(), &Call{}); refusal != Broken {
		t.Errorf("another goes through the breaker: %v", refusal)
	}
	second := connect(t, p, c, true)
	second.Unused(c)
	third := connect(t, p, c, false)
	if second.ep != first.ep || third.ep != first.ep {
		t.Error("it was sent elsewhere")
	}
	for _, s := range p.Status().Endpoints {
		if n := s.InFlight + int(s.Requests); s.Addr == first.ep.Addr() && n != 2 || s.Addr != first.ep.Addr() && n != 0 {
			t.Errorf("%+v", s)
		}
	}
	third.Release(false)
}

// TestUnusedEnds: who comes for no other connection leaves the place.
func TestUnusedEnds(t *testing.T) {
	p, _ := aged(t, limited(1, 0, time.Second), 1)
	c := &Call{Asks: true, Idempotent: true}
	connect(t, p, c, true).Unused(c)
	if _, refusal := p.Connect(context.Background(), &Call{}); refusal != Busy {
		t.Errorf("the place is free: %v", refusal)
	}
	c.Reset()
	c.Asks, c.Idempotent = true, true
	connect(t, p, c, true).Release(false)
	if s := p.Status().Endpoints[0]; s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
