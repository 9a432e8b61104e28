// Package history remembers what the last minutes were like: figures for charts,
// and what has changed. It is pure: snapshots go in, points and events come out.
package history

import (
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/vip"
)

// Step is how far points are apart, and Length how many are kept: ten minutes.
const (
	Step   = 2 * time.Second
	Length = 300
)

// A Snapshot is the node at one moment. What does not run, or does not answer,
// is nil.
type Snapshot struct {
	At     time.Time
	VIP    *vip.Status
	Health *health.Status
	L4     *l4.Status
	L7     *l7.Totals
	// Missing is why the proxy does not answer, where there should be one.
	Missing string
	// Configs are those of director and proxy.
	Configs map[string]Config
}

// A Config is what a process has made of the file.
type Config struct {
	Loaded, Failed time.Time
	Error          string
}

// A Point is what the node did in the Step before Time.
type Point struct {
	Time time.Time `json:"time"`
	// L4 is nil where this node's director does not balance, L7 where no proxy
	// answered.
	L4 *L4 `json:"l4,omitempty"`
	L7 *L7 `json:"l7,omitempty"`
}

// L4 is what this node's dataplane did for all of its services.
type L4 struct {
	// Connections are the established ones of TCP and all of UDP, at Time.
	Connections int `json:"connections"`
	// The others are per second.
	NewConnections float64 `json:"new_connections"`
	Packets        float64 `json:"packets"`
	Bytes          float64 `json:"bytes"`
}

// L7 is what this node's proxy did.
type L7 struct {
	// Connections are those of clients, at Time.
	Connections int64 `json:"connections"`
	// The others are per second. Errors are responses of 5xx, whoever made them;
	// bytes are of bodies, and counted when a request ends.
	NewConnections float64 `json:"new_connections"`
	Requests       float64 `json:"requests"`
	Errors         float64 `json:"errors"`
	BytesReceived  float64 `json:"bytes_received"`
	BytesSent      float64 `json:"bytes_sent"`
}

// A Recorder makes points and events of snapshots. It is not safe for use by
// several goroutines.
type Recorder struct {
	last   *Snapshot
	points []Point
	events []Event
}

// Add takes in the next snapshot.
func (r *Recorder) Add(s Snapshot) {
	if r.last != nil {
		r.points = append(r.points[max(0, len(r.points)+1-Length):], point(*r.last, s))
	}
	r.note(compare(r.last, s))
	r.last = &s
}

// Points returns those after since, oldest first.
func (r *Recorder) Points(since time.Time) []Point {
	i, _ := slices.BinarySearchFunc(r.points, since, func(p Point, t time.Time) int {
		if p.Time.After(t) {
			return 1
		}
		return -1
	})
	return slices.Clone(r.points[i:])
}

// point is what happened between two snapshots. What began in between has no
// rates yet; a counter that began anew has none either.
func point(a, b Snapshot) Point {
	p := Point{Time: b.At}
	seconds := b.At.Sub(a.At).Seconds()
	rate := func(before, after uint64) float64 {
		if after < before || seconds <= 0 {
			return 0
		}
		return float64(after-before) / seconds
	}
	if a.L4 != nil && b.L4 != nil {
		before, after := sum(*a.L4), sum(*b.L4)
		p.L4 = &L4{
			Connections:    after.connections,
			NewConnections: rate(before.Connections, after.Connections),
			Packets:        rate(before.PacketsIn, after.PacketsIn),
			Bytes:          rate(before.BytesIn, after.BytesIn),
		}
	}
	if a.L7 != nil && b.L7 != nil {
		before, after := a.L7.Engine, b.L7.Engine
		p.L7 = &L7{
			Connections:    after.Connections,
			NewConnections: rate(before.Accepted, after.Accepted),
			Requests:       rate(before.Requests, after.Requests),
			Errors:         rate(before.Responses.ServerError, after.Responses.ServerError),
			BytesReceived:  rate(before.Received, after.Received),
			BytesSent:      rate(before.Sent, after.Sent),
		}
	}
	return p
}

// totals are those of all services.
type totals struct {
	l4.Stats
	connections int
}

func sum(s l4.Status) (t totals) {
	for _, v := range s.Services {
		t.Connections += v.Stats.Connections
		t.PacketsIn += v.Stats.PacketsIn
		t.BytesIn += v.Stats.BytesIn
		for _, r := range v.Servers {
			t.connections += r.Active
			if v.Protocol == "udp" {
				t.connections += r.Inactive
			}
		}
	}
	return t
}
