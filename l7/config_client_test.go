package l7_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/proxy"
)

// boundsOf parses what stands in [l7.client].
func boundsOf(t *testing.T, in string) (proxy.Bounds, string) {
	c, faults := parse(t, "[client]\n"+in)
	return c.Client, faults
}

func TestParseClient(t *testing.T) {
	for _, tc := range []struct {
		in     string
		change func(*proxy.Bounds)
	}{
		{"", func(*proxy.Bounds) {}},
		{"header_timeout = '5s'\nbody_timeout = '10s'\nidle_timeout = '15s'", func(b *proxy.Bounds) {
			b.Timeouts = proxy.Timeouts{Head: 5 * time.Second, Stall: 10 * time.Second, Idle: 15 * time.Second}
		}},
		{"max_header = '8KiB'\nmax_header_fields = 50", func(b *proxy.Bounds) {
			b.Head = http1.Limits{Head: 8 << 10, Line: 8 << 10, Fields: 50}
		}},
		{"max_header = '1MiB'", func(b *proxy.Bounds) { b.Head.Head = 1 << 20 }},
		{"max_body = '10MB'", func(b *proxy.Bounds) { b.Caps.Body = 10e6 }},
		{"max_body = '2 GiB'", func(b *proxy.Bounds) { b.Caps.Body = 2 << 30 }},
		{"max_body = '100'", func(b *proxy.Bounds) { b.Caps.Body = 100 }},
		{"min_body_rate = 0", func(b *proxy.Bounds) { b.Caps.Rate = 0 }},
		{"keep_alive_requests = 1000\nmax_connections = 10000\nmax_connections_per_source = 100", func(b *proxy.Bounds) {
			b.Caps.Requests, b.Caps.Connections, b.Caps.PerSource = 1000, 10000, 100
		}},
	} {
		want := proxy.Bounds{
			Timeouts: proxy.Timeouts{Head: 10 * time.Second, Stall: time.Minute, Idle: 75 * time.Second},
			Head:     http1.DefaultLimits,
			Caps:     proxy.Caps{Rate: 256, RateAfter: 30 * time.Second},
		}
		tc.change(&want)
		got, problems := boundsOf(t, tc.in)
		if problems != "" || got != want {
			t.Errorf("%s: %s\n%s", tc.in, problems, cmp.Diff(want, got))
		}
	}
}

func TestParseClientRefused(t *testing.T) {
	for in, want := range map[string]string{
		"header_timeout = '1ms'":          `l7.client.header_timeout: "1ms" is no duration for this: allowed are 1s to 1h0m0s`,
		"max_header = '1KiB'":             `l7.client.max_header: "1KiB" is no size for this: allowed are 4KiB to 1MiB`,
		"max_header = '1TB'":              `l7.client.max_header: "1TB" is no size for this: allowed are 4KiB to 1MiB`,
		"max_body = '-1'":                 `l7.client.max_body: "-1" is no size for this: allowed are 0 to 1048576GiB`,
		"max_body = '99999999999999GiB'":  `l7.client.max_body: "99999999999999GiB" is no size for this: allowed are 0 to 1048576GiB`,
		"max_body = 'MB'":                 `l7.client.max_body: "MB" is no size for this: allowed are 0 to 1048576GiB`,
		"max_connections = -1":            `l7.client.max_connections: -1 is out of range: allowed are 0 to 16777216`,
		"max_connections_per_source = -1": `l7.client.max_connections_per_source: -1 is out of range: allowed are 0 to 16777216`,
	} {
		if _, got := boundsOf(t, in); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}
