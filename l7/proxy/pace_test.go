package proxy

import (
	"net/netip"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	caps := Caps{Rate: 256, RateAfter: 30 * time.Second}
	for _, tc := range []struct {
		name   string
		got    int64
		waited time.Duration
		caps   Caps
		want   time.Duration
	}{
		{"first byte", 0, 0, caps, 30 * time.Second},
		{"a few in a while", 100, 20 * time.Second, caps, 10 * time.Second},
		{"too few", 100, 30 * time.Second, caps, 0},
		{"by far", 100, 300 * time.Second, caps, 0},
		{"just enough", 256 * 100, 90 * time.Second, caps, 10 * time.Second},
		{"plenty", 1 << 20, 90 * time.Second, caps, time.Minute},
		{"more than can be", 1<<63 - 1, 90 * time.Second, caps, time.Minute},
		{"no rate", 0, time.Hour, Caps{}, time.Minute},
	} {
		p := pace{got: tc.got, waited: int64(tc.waited)}
		if got := p.left(tc.caps, time.Minute); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	// A client with twice the rate lives, however its bytes come.
	var p pace
	now := int64(0)
	for range 1000 {
		p.begin(now)
		if p.left(caps, time.Minute) < 5*time.Second {
			t.Fatalf("cut after %v", time.Duration(now))
		}
		now += int64(5 * time.Second)
		p.end(now, 2560)
		now += int64(time.Hour) // the endpoint's time
	}
}

func TestSourceOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::":       "2001:db8:1:2::",
	} {
		if got := sourceOf(netip.MustParseAddr(in)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
