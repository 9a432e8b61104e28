package proxy

import (
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/route"
)

// BenchmarkMeter is what counting costs a request: alone, and with somebody who
// is told of the request's end and its times.
func BenchmarkMeter(b *testing.B) {
	for name, o := range map[string]*accesslog.Observer{"alone": nil, "told": {Ended: func(*accesslog.Record) {}}} {
		b.Run(name, func(b *testing.B) {
			p := New(Options{})
			p.Observe(o)
			c := &client{p: p, s: &server{p: p}}
			x, w := &exchange{}, &way{meter: new(meter), route: &route.Route{}}
			b.ReportAllocs()
			for b.Loop() {
				c.observe(x, nil)
				x.way = *w
				x.status, x.heard = 200, true
				x.settle()
				x.way = way{}
			}
		})
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
