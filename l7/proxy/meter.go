package proxy

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// durations are the upper ends of the buckets that requests are counted in by
// how long they took; the last bucket has none.
var durations = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Durations returns the upper ends of a Traffic's buckets but the last.
func Durations() []time.Duration { return slices.Clone(durations[:]) }

// The names of what is not an object's own.
const (
	// NoRoute is what no route was found for.
	NoRoute = "none"
	// OtherRoutes are those of objects beyond MaxMetered.
	OtherRoutes = "other"
)

// MaxMetered is how many objects have counts of their own, so that a cluster
// with thousands of them does not make thousands of time series a bucket.
const MaxMetered = 500

// Traffic is what became of the requests of the routes of one object, or of a
// number of objects. All of it is counted when a request ends.
type Traffic struct {
	// Route is namespace/name of the object, NoRoute or OtherRoutes.
	Route string
	// Codes counts requests by the first digit of the response's status; 0 is
	// those that got none, for the client went away or the response broke.
	Codes [6]uint64
	// Buckets counts those that did not become tunnels by how long they took, and
	// Seconds is the sum of that.
	Buckets [len(durations) + 1]uint64
	Seconds float64
	// Received and Sent count bytes of the bodies of requests and responses,
	// without the codings of transfers, and what tunnels carried.
	Received, Sent uint64
}

// A meter counts Traffic. Processors write to one part of it each, as with
// counters.
type meter struct{ parts [shards]meterPart }

// A meterPart is four cache lines long, of which processors fetch two at a time.
type meterPart struct {
	codes          [6]atomic.Uint64
	buckets        [len(durations) + 1]atomic.Uint64
	nanos          atomic.Uint64
	received, sent atomic.Uint64
	_              [256 - (6+len(durations)+1+3)*8]byte
}

func (m *meter) traffic(name string) Traffic {
	t := Traffic{Route: name}
	for i := range m.parts {
		p := &m.parts[i]
		for j := range p.codes {
			t.Codes[j] += p.codes[j].Load()
		}
		for j := range p.buckets {
			t.Buckets[j] += p.buckets[j].Load()
		}
		t.Seconds += time.Duration(p.nanos.Load()).Seconds()
		t.Received += p.received.Load()
		t.Sent += p.sent.Load()
	}
	return t
}

// meters are those of all routes.
type meters struct {
	none, other meter

	mu   sync.Mutex
	each map[string]*meter
}

// of returns the meter of what a route was read from.
func (m *meters) of(o *route.Origin) *meter {
	name := o.Namespace + "/" + o.Name
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.each[name]
	switch {
	case found != nil:
		return found
	case len(m.each) >= MaxMetered:
		return &m.other
	case m.each == nil:
		m.each = make(map[string]*meter)
	}
	found = new(meter)
	m.each[name] = found
	return found
}

// bytes returns the sums of what all have received and sent.
func (m *meters) bytes() (received, sent uint64) {
	add := func(m *meter) {
		for i := range m.parts {
			received += m.parts[i].received.Load()
			sent += m.parts[i].sent.Load()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	add(&m.none)
	add(&m.other)
	for _, each := range m.each {
		add(each)
	}
	return received, sent
}

// Traffic returns what became of the requests that have ended, by route; objects
// without a route any more are forgotten.
func (p *Proxy) Traffic() []Traffic {
	used := make(map[*meter]bool)
	p.mu.Lock() // no route comes meanwhile
	defer p.mu.Unlock()
	if r := p.routing.Load(); r != nil {
		for _, w := range r.ways {
			used[w.meter] = true
		}
	}
	m := &p.counters.meters
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []Traffic{m.none.traffic(NoRoute), m.other.traffic(OtherRoutes)}
	for name, each := range m.each {
		if !used[each] {
			delete(m.each, name)
			continue
		}
		out = append(out, each.traffic(name))
	}
	slices.SortFunc(out, func(a, b Traffic) int { return cmp.Compare(a.Route, b.Route) })
	return out
}

// A reading is what an exchange is counted by.
type reading struct {
	meters *meters // nil where it is not
	clock  *clock
	part   int           // of a meter
	since  time.Duration // by clock
	heard  bool          // an endpoint's response has come
}

// meter begins to count x as a request of c. Two looks at the clock are most of
// what counting costs, so that who wants to know when x began and how long it
// took goes by these.
func (c *client) meter(x *exchange) {
	x.reading = reading{meters: &c.p.counters.meters, clock: &c.p.clock, part: c.part, since: c.p.clock.exact()}
}

// began is when x did.
func (x *exchange) began() time.Time { return x.clock.start.Add(x.since) }

// count counts x, which has ended and took that long.
func (x *exchange) count(took time.Duration) {
	m := &x.meters.none
	var received, sent int64
	if x.way.route != nil {
		m = x.way.meter
		received = x.up.size(x.req.Length)
	}
	if x.heard && !x.tunnel {
		sent = x.down.size(x.resp.Length)
	}
	if x.ours || x.sent > 0 {
		sent = x.sent
	}
	if x.tunnel {
		received, sent = x.carried.up, x.carried.down
	}
	p := &m.parts[x.part]
	if received > 0 {
		p.received.Add(uint64(received))
	}
	if sent > 0 {
		p.sent.Add(uint64(sent))
	}
	if !x.tunnel {
		p.buckets[bucket(took)].Add(1)
		p.nanos.Add(uint64(took))
	}
	p.codes[min(x.status/100, 5)].Add(1) // last: what is counted is counted whole
	x.reading = reading{}
}

// bucket returns the index of the first bound that d does not exceed.
func bucket(d time.Duration) int {
	for i, most := range durations {
		if d <= most {
			return i
		}
	}
	return len(durations)
}
