package proxy

import (
	"testing"
	"time"
)

// BenchmarkMeter is what counting costs a request.
func BenchmarkMeter(b *testing.B) {
	p := New(Options{})
	c := &client{p: p}
	x := &exchange{way: &way{meter: new(meter)}}
	b.ReportAllocs()
	for b.Loop() {
		c.meter(x)
		x.status, x.heard = 200, true
		x.count()
	}
}

// TestBucket puts a duration below the first bound that it does not exceed.
func TestBucket(t *testing.T) {
	for d, want := range map[time.Duration]int{0: 0, time.Millisecond: 0, time.Millisecond + 1: 1, 30 * time.Second: len(durations) - 1, time.Hour: len(durations)} {
		if got := bucket(d); got != want {
			t.Errorf("%v is in bucket %d, want %d", d, got, want)
		}
	}
}
