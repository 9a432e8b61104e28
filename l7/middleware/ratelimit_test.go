package middleware_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

// at makes a request of a client.
func at(t *testing.T, when time.Duration, client string) *Request {
	t.Helper()
	r := read(t, "GET http://a/")
	r.Client, r.Begun = netip.MustParseAddr(client), time.Now().Add(when)
	return r
}

func TestRateLimit(t *testing.T) {
	type request struct {
		at     time.Duration
		client string
		want   string
	}
	const ok, one = "200", "429\nRetry-After: 1"
	for _, c := range []struct {
		name     string
		step     RateLimit
		requests []request
	}{
		{"burst, then evenly", RateLimit{Rates: []Rate{{Average: 2, Period: time.Second, Burst: 3}}}, []request{
			{0, "192.0.2.1", ok}, {0, "192.0.2.1", ok}, {0, "192.0.2.1", ok}, {0, "192.0.2.1", one},
			{300 * time.Millisecond, "192.0.2.1", one}, {700 * time.Millisecond, "192.0.2.1", ok}, {700 * time.Millisecond, "192.0.2.1", one},
			{0, "192.0.2.2", ok}, // another client
			{time.Minute, "192.0.2.1", ok}, {time.Minute, "192.0.2.1", ok}, {time.Minute, "192.0.2.1", ok}, {time.Minute, "192.0.2.1", one},
		}},
		{"less than one a second", RateLimit{Rates: []Rate{{Average: 0.1, Period: time.Second, Burst: 1}}}, []request{
			{0, "192.0.2.1", ok}, {time.Second, "192.0.2.1", "429\nRetry-After: 9"}, {9900 * time.Millisecond, "192.0.2.1", one}, {11 * time.Second, "192.0.2.1", ok},
		}},
		{"two rates", RateLimit{Rates: []Rate{{Average: 1, Period: time.Second, Burst: 1}, {Average: 3, Period: time.Minute, Burst: 3}}}, []request{
			{0, "192.0.2.1", ok}, {100 * time.Millisecond, "192.0.2.1", one}, {1100 * time.Millisecond, "192.0.2.1", ok}, {2200 * time.Millisecond, "192.0.2.1", ok},
			// Those refused count in neither: 20s make one of a minute's three.
			{3300 * time.Millisecond, "192.0.2.1", "429\nRetry-After: 17"}, {20100 * time.Millisecond, "192.0.2.1", ok},
		}},
		{"an IPv6 network", RateLimit{Rates: []Rate{{Average: 1, Period: time.Minute, Burst: 1}}}, []request{
			{0, "2001:db8::1", ok}, {0, "2001:db8::2:0:0:2", "429\nRetry-After: 60"}, {0, "2001:db8:0:1::1", ok}, {0, "::ffff:192.0.2.1", ok}, {0, "192.0.2.1", "429\nRetry-After: 60"},
		}},
		{"all together", RateLimit{Key: Key{By: "all"}, Rates: []Rate{{Average: 1, Period: time.Minute, Burst: 1}}}, []request{
			{0, "192.0.2.1", ok}, {0, "192.0.2.2", "429\nRetry-After: 60"},
		}},
		{"longer than anybody waits", RateLimit{Rates: []Rate{{Average: 0.001, Period: 720 * time.Hour, Burst: 1e9}}}, []request{
			{0, "192.0.2.1", ok}, {0, "192.0.2.1", "429\nRetry-After: 788400000"},
		}},
		{"faster than a nanosecond", RateLimit{Rates: []Rate{{Average: 1e9, Period: time.Millisecond, Burst: 1}}}, []request{
			{0, "192.0.2.1", ok}, {time.Second, "192.0.2.1", ok},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, chain := time.Now(), chain(c.step)
			for i, q := range c.requests {
				r := at(t, 0, q.client)
				r.Begun = start.Add(q.at)
				if got := exchange(chain, r, "200"); got != q.want {
					t.Errorf("request %d at %v: got %q, want %q", i, q.at, got, q.want)
				}
			}
		})
	}
}

// TestRateLimitTwin compares with a bucket that drips, with one key of many.
func TestRateLimitTwin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const average, burst = 10, 5
	c := chain(RateLimit{Rates: []Rate{{Average: average, Period: time.Second, Burst: burst}}})
	type bucket struct {
		tokens float64
		at     time.Duration
	}
	buckets, start, now := map[string]*bucket{}, time.Now(), time.Duration(0)
	for range 20000 {
		now += time.Duration(random.IntN(20)) * time.Millisecond
		client := fmt.Sprintf("192.0.2.%d", random.IntN(8))
		b := buckets[client]
		if b == nil {
			b = &bucket{burst, now}
			buckets[client] = b
		}
		b.tokens, b.at = min(burst, b.tokens+(now-b.at).Seconds()*average), now
		want := b.tokens > 1-1e-6
		if want {
			b.tokens--
		}
		r := at(t, 0, client)
		r.Begun = start.Add(now)
		if got := c.Handle(t.Context(), r) == nil; got != want {
			t.Fatalf("%s at %v: passes %v, want %v with %v left", client, now, got, want, b.tokens)
		}
	}
}

// TestRateLimitMemory: a client with very many addresses takes no more memory
// than a bound, and those who were idle are forgotten.
func TestRateLimitMemory(t *testing.T) {
	c := chain(RateLimit{Rates: []Rate{{Average: 1, Period: time.Minute, Burst: 100}}})
	before := heap()
	r := read(t, "GET http://a/")
	start := time.Now()
	for i := range 1_000_000 {
		r.Reset()
		r.Client, r.Begun = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), start
		c.Handle(t.Context(), r)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("a million addresses take %d bytes", grown)
	}
	for i := range 3 {
		r.Begun = start.Add(time.Duration(i+1) * 2 * time.Hour)
		c.Handle(t.Context(), r)
	}
	if grown := heap() - before; grown > 256<<10 {
		t.Errorf("%d bytes are left hours later", grown)
	}
	runtime.KeepAlive(c)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLimitsTogether: requests that come at once are counted each.
func TestLimitsTogether(t *testing.T) {
	c := chain(RateLimit{Rates: []Rate{{Average: 1, Period: time.Hour, Burst: 100}}}, InFlight{Most: 50})
	start := time.Now()
	var limited, full, passed atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			r := &Request{Client: netip.MustParseAddr("192.0.2.1"), Begun: start}
			switch a := c.Handle(t.Context(), r); {
			case a == nil:
				passed.Add(1)
			case len(a.Header) > 0:
				limited.Add(1)
			default:
				full.Add(1)
			}
		})
	}
	all.Wait()
	if limited.Load() != 100 || full.Load() != 50 || passed.Load() != 50 {
		t.Errorf("%d too often, %d too many, %d pass: want 100, 50, 50", limited.Load(), full.Load(), passed.Load())
	}
}

// TestRateLimitReload: a change elsewhere does not let everybody ask anew.
func TestRateLimitReload(t *testing.T) {
	limit := func(burst int) Step { return RateLimit{Rates: []Rate{{Average: 1, Period: time.Hour, Burst: burst}}} }
	c := NewChain([]Step{limit(1)}, env(), nil)
	if got := exchange(c, at(t, 0, "192.0.2.1"), "200"); got != "200" {
		t.Fatal(got)
	}
	c = NewChain([]Step{Headers{Response: Fields{Remove: []string{"Server"}}}, limit(1)}, env(), c)
	if got := exchange(c, at(t, 0, "192.0.2.1"), "200"); got == "200" {
		t.Error("a new step before it lets the client ask anew")
	}
	c = NewChain([]Step{limit(2)}, env(), c)
	if got := exchange(c, at(t, 0, "192.0.2.1"), "200"); got != "200" {
		t.Errorf("another limit knows of the old one: %s", got)
	}
}

// TestKeys: what counts together.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		key  Key
		a, b string
		same bool
	}{
		{"hosts", Key{By: "host"}, "GET http://a/", "GET http://b/", false},
		{"host", Key{By: "host"}, "GET http://a/", "GET http://A:81/x", true},
		{"fields", Key{By: "header", Header: "X-Key"}, "GET http://a/\nx-key: 1", "GET http://a/\nX-Key: 2", false},
		{"field", Key{By: "header", Header: "X-Key"}, "GET http://a/\nx-key: 1", "GET http://b/\nX-Key: 1", true},
		{"no field", Key{By: "header", Header: "X-Key"}, "GET http://a/", "GET http://b/", true},
		{"one client", Key{By: "client"}, "GET http://a/", "GET http://b/", true},
		{"no proxy at that depth", Key{Whose: Whose{Depth: 3}}, "GET http://a/", "GET http://b/", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := chain(RateLimit{Key: c.key, Rates: []Rate{{Average: 1, Period: time.Hour, Burst: 1}}})
			exchange(m, read(t, c.a), "200")
			if got := exchange(m, read(t, c.b), "200") != "200"; got != c.same {
				t.Errorf("counted together: %v", got)
			}
		})
	}
}

func TestRateLimitSection(t *testing.T) {
	zero, depth := 0, 1
	rates := []RateSection{{Average: 1}}
	for _, c := range []struct {
		in   RateLimitSection
		want string
	}{
		{RateLimitSection{Rates: []RateSection{{Average: 0.5}, {Average: 10, Period: "1m"}}, Key: "header:X-Key"}, ""},
		{RateLimitSection{Rates: rates, Depth: &depth}, ""},
		{RateLimitSection{}, "rates: missing: want one or more, such as { average = 10, burst = 20 }"},
		{RateLimitSection{Rates: []RateSection{{}}}, "rates[0].average: 0 is out of range: allowed are 0.001 to 1e+09"},
		{RateLimitSection{Rates: []RateSection{{Average: 1, Period: "0s", Burst: &zero}}},
			"rates[0].period: \"0s\" is no duration for this: allowed are 1ms to 720h0m0s\nrates[0].burst: 0 is out of range: allowed are 1 to 1000000000"},
		{RateLimitSection{Rates: rates, Key: "address"}, `key: "address" is no key: allowed are client, host, header:NAME, user, all`},
		{RateLimitSection{Rates: rates, Key: "header"}, `key: "header" is no key: allowed are client, host, header:NAME, user, all`},
		{RateLimitSection{Rates: rates, Key: "host:a"}, `key: "host:a" is no key: allowed are client, host, header:NAME, user, all`},
		{RateLimitSection{Rates: rates, Key: "header:a b"}, `key: "header:a b" is no key: allowed are client, host, header:NAME, user, all`},
		{RateLimitSection{Rates: rates, Key: "host", Depth: &depth}, `depth: belongs to key = "client"`},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	c := chain(RateLimit{Rates: []Rate{{Average: 1e9, Period: time.Second, Burst: 1e9}}})
	r := &Request{Client: netip.MustParseAddr("192.0.2.1"), Begun: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		c.Handle(b.Context(), r)
	}
}
