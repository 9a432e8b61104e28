package backend

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const s = int64(time.Second)
	for _, tc := range []struct {
		name string
		ages []int64
		want int64 // how old a connection may be, of 30 s
	}{
		{"nothing known", nil, 30 * s},
		{"one that was closed", []int64{5 * s}, 30 * s},
		{"two of an age", []int64{5 * s, 5*s + lookEvery}, 35 * s / 10},
		{"two of different ages", []int64{5 * s, 9 * s}, 30 * s},
		{"one among others", []int64{20 * s, 1 * s, 20 * s, 20 * s}, 1755 * s / 100},
		{"a minute", []int64{60 * s, 60 * s}, 30 * s},
		{"very short", []int64{s, s}, s / 4},
		{"shorter than can be told", []int64{s / 2, s / 2}, 0},
	} {
		var l lifetime
		for i, age := range tc.ages {
			l.closed(age, int64(i)*s)
		}
		if got := l.usable(30*s, 100*s); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, time.Duration(got), time.Duration(tc.want))
		}
		if got := l.usable(30*s, 1000*s); got != 30*s {
			t.Errorf("%s: never forgotten: %v", tc.name, time.Duration(got))
		}
	}
}

// TestLearns shows that a connection is not used near the age at which the
// endpoint closes them, once that is known.
func TestLearns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, clock := poolAt(t, Default(), netip.MustParseAddrPort(l.Addr().String()))
	open := func() (*Conn, net.Conn) {
		b, refusal := p.Connect(context.Background(), &Call{Idempotent: true})
		if refusal != 0 {
			t.Fatal(refusal)
		}
		if b.Reused() {
			return b, nil
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return b, other
	}
	for range 2 {
		b, other := open()
		b.Release(true)
		*clock += manual(6 * time.Second)
		other.Close()
		for b.fit() {
		}
		p.reaper.Reap()
		if n := p.Status().Endpoints[0].Idle; n != 0 {
			t.Fatalf("%d idle connections", n)
		}
	}
	for _, tc := range []struct {
		age    time.Duration
		reused bool
	}{{4 * time.Second, true}, {5 * time.Second, false}} {
		b, other := open()
		b.Release(true)
		*clock += manual(tc.age)
		again, _ := open()
		if again.Reused() != tc.reused {
			t.Errorf("after %v: reused %v", tc.age, again.Reused())
		}
		again.Release(false)
		p.reaper.Reap()
		if other != nil {
			if n, _ := io.Copy(io.Discard, other); n != 0 {
				t.Error("something was sent")
			}
			other.Close()
		}
	}
}
