package backend

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-lb/portico/l7/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A manual clock.
type manual int64

func (m *manual) now() int64 { return int64(*m) }

// newPool returns a pool with endpoints at 192.0.2.1, 192.0.2.2, ..., which
// nobody dials, and its clock.
func newPool(t testing.TB, policy Policy, n int) (*Pool, *manual) {
	t.Helper()
	clock := new(manual)
	p := New(route.Backend{Namespace: "a", Service: "b", Port: "80"},
		Options{Log: slog.New(slog.DiscardHandler), Now: clock.now, Policy: &policy, Reaper: new(Reaper)})
	p.Set(addrs(n))
	return p, clock
}

func addrs(n int) []route.Endpoint {
	var eps []route.Endpoint
	for i := range n {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		eps = append(eps, route.Endpoint{Addr: netip.AddrPortFrom(addr, 80)})
	}
	return eps
}

// TestRetry shows which requests go again, and that only those that may be
// seen twice draw on the budget.
func TestRetry(t *testing.T) {
	policy := Default()
	policy.Retries = Retries{Attempts: 3, Floor: 0.4}
	for _, tc := range []struct {
		name                          string
		idempotent, delivered, reused bool
		want                          int // of 10 requests, how many get a second attempt
	}{
		{"GET that may have been seen", true, true, false, 4},
		{"GET that was not seen", true, false, false, 10},
		{"POST that may have been seen", false, true, false, 0},
		{"POST that was not seen", false, false, true, 10},
	} {
		p, _ := newPool(t, policy, 2)
		got := 0
		for range 10 {
			c := Call{Idempotent: tc.idempotent}
			b := &Conn{ep: p.plan.Load().endpoints[0], reused: tc.reused}
			if p.Retry(&c, b, tc.delivered) {
				got++
				if tried := len(c.tried) == 1; tried == tc.reused || !c.fresh {
					t.Errorf("%s: %+v", tc.name, c)
				}
			}
		}
		if s := p.Status(); got != tc.want || s.Retries != uint64(got) {
			t.Errorf("%s: %d retries, want %d; %+v", tc.name, got, tc.want, s)
		}
	}
	p, _ := newPool(t, policy, 2)
	c := Call{}
	b := &Conn{ep: p.plan.Load().endpoints[0]}
	n := 1
	for p.Retry(&c, b, false) {
		n++
	}
	if n != 3 {
		t.Errorf("%d attempts", n)
	}
}

// TestStreams: a body that cannot be sent again takes no connection that its
// endpoint may be about to close.
func TestStreams(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := poolAt(t, Default(), netip.MustParseAddrPort(l.Addr().String()))
	defer p.CloseIdle()
	for _, tc := range []struct{ streams, reused bool }{{false, false}, {false, true}, {true, false}, {false, true}} {
		b, refusal := p.Connect(t.Context(), &Call{Idempotent: true, Streams: tc.streams})
		if refusal != 0 || b.Reused() != tc.reused {
			t.Fatalf("%+v: %v, reused %v", tc, refusal, b.Reused())
		}
		b.Release(true)
	}
}

// TestRetire: a pool that is not used any more serves those that come late.
func TestRetire(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := poolAt(t, Default(), netip.MustParseAddrPort(l.Addr().String()))
	for range 2 {
		b, refusal := p.Connect(t.Context(), new(Call))
		if refusal != 0 {
			t.Fatal(refusal)
		}
		if b.Reused() {
			t.Error("a connection was kept")
		}
		p.Retire()
		b.Release(true)
	}
	if s := p.Status().Endpoints[0]; s.Idle != 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
