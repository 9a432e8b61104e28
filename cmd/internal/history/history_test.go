package history_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/history"
	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func after(steps int) time.Time { return begin.Add(time.Duration(steps) * history.Step) }

func services(conns, packets uint64, active int) *l4.Status {
	return &l4.Status{Services: []l4.ServiceStatus{{
		Protocol: "tcp", Stats: l4.Stats{Connections: conns, PacketsIn: packets, BytesIn: 10 * packets},
		Servers: []l4.ServerStatus{{Active: active, Inactive: 7}},
	}}}
}

func engine(requests, errors uint64) *l7.Totals {
	return &l7.Totals{Ready: true, Engine: proxy.Totals{
		Requests: requests, Responses: proxy.Responses{ServerError: errors}, Connections: 5, Accepted: requests / 2, Sent: requests * 100,
	}}
}

// TestPoints are rates between snapshots; what began anew has none.
func TestPoints(t *testing.T) {
	var r history.Recorder
	r.Add(history.Snapshot{At: after(0), L4: services(100, 1000, 1), L7: engine(10, 0)})
	if got := r.Points(time.Time{}); len(got) != 0 {
		t.Errorf("one snapshot gives %+v", got)
	}
	r.Add(history.Snapshot{At: after(1), L4: services(110, 1200, 3), L7: engine(50, 4)})
	r.Add(history.Snapshot{At: after(2), L4: services(5, 10, 2)})         // the services were made anew, the proxy is away
	r.Add(history.Snapshot{At: after(3), L4: nil, L7: engine(60, 4)})     // it is back
	r.Add(history.Snapshot{At: after(4), L4: services(0, 0, 0), L7: nil}) // nothing to compare with
	want := []history.Point{
		{
			Time: after(1), L4: &history.L4{Connections: 3, NewConnections: 5, Packets: 100, Bytes: 1000},
			L7: &history.L7{Connections: 5, NewConnections: 10, Requests: 20, Errors: 2, BytesSent: 2000},
		},
		{Time: after(2), L4: &history.L4{Connections: 2}},
		{Time: after(3)},
		{Time: after(4)},
	}
	if got := r.Points(time.Time{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := r.Points(after(3)); len(got) != 1 || !got[0].Time.Equal(after(4)) {
		t.Errorf("since the third: %+v", got)
	}
	if got := r.Points(after(4)); len(got) != 0 {
		t.Errorf("since the last: %+v", got)
	}
}

// TestPointsAreBounded keeps ten minutes, whatever comes.
func TestPointsAreBounded(t *testing.T) {
	var r history.Recorder
	for i := range 2*history.Length + 2 {
		r.Add(history.Snapshot{At: after(i), L7: engine(uint64(i), 0)})
	}
	got := r.Points(time.Time{})
	if len(got) != history.Length || !got[history.Length-1].Time.Equal(after(2*history.Length+1)) {
		t.Errorf("%d points, the last at %v", len(got), got[len(got)-1].Time)
	}
}

// TestEvents tells of what differs between two snapshots.
func TestEvents(t *testing.T) {
	group := func(seq ...uint64) *vip.Status {
		g := vip.GroupStatus{Name: "edge"}
		for _, n := range seq {
			g.History = append(g.History, vip.Transition{Seq: n, At: after(int(n)), From: vrrp.Backup, To: vrrp.Active, Reason: fmt.Sprint("reason ", n)})
		}
		return &vip.Status{Groups: []vip.GroupStatus{g}}
	}
	since := func(n int) *health.Status {
		return &health.Status{Checks: []health.CheckStatus{{Name: "c", State: health.State{Known: true, Up: true, Since: after(n)}}}}
	}
	check := func(known, up bool) *health.Status {
		return &health.Status{Checks: []health.CheckStatus{{Name: "c", State: health.State{Known: known, Up: up, Since: after(9), Reason: "refused"}}}}
	}
	orders := func(targets ...string) *l4.Status {
		var s l4.Status
		for i, d := range targets {
			target, back := strings.CutPrefix(d, "-")
			s.DrainOrders = append(s.DrainOrders, l4.DrainOrder{Seq: uint64(i + 1), At: after(i), Target: target, Drained: !back})
		}
		return &s
	}
	ready := func(is bool) *l7.Totals { return &l7.Totals{Ready: is, Reason: "no source", Routes: 3} }
	config := func(c history.Config) map[string]history.Config { return map[string]history.Config{"director": c} }
	for _, c := range []struct {
		name string
		a, b history.Snapshot
		want string // events, newest first
	}{
		{"nothing", history.Snapshot{L7: ready(true), Health: check(true, true)}, history.Snapshot{L7: ready(true), Health: check(true, true)}, ""},
		{"transitions once each", history.Snapshot{VIP: group(1)}, history.Snapshot{VIP: group(1, 2, 3)},
			"12:00:06 info vip edge: Active, was Backup: reason 3; 12:00:04 info vip edge: Active, was Backup: reason 2"},
		{"a server fell", history.Snapshot{Health: check(true, true)}, history.Snapshot{Health: check(true, false)}, "12:00:18 warn health c: down: refused"},
		{"first answer", history.Snapshot{Health: check(false, false)}, history.Snapshot{Health: check(true, true)}, "12:00:18 info health c: up"},
		{"down and up between two looks", history.Snapshot{Health: since(9)}, history.Snapshot{Health: since(12)}, "12:00:24 info health c: up"},
		{"a check that is not known yet", history.Snapshot{Health: &health.Status{}}, history.Snapshot{Health: check(true, true)}, ""},
		{"drained", history.Snapshot{L4: orders("a")}, history.Snapshot{L4: orders("a", "b")}, "12:00:02 info l4 b: taken out of service"},
		{"drained and given back at once", history.Snapshot{L4: orders("a")}, history.Snapshot{L4: orders("a", "b", "-b")},
			"12:00:04 info l4 b: given back to service; 12:00:02 info l4 b: taken out of service"},
		{"the kernel refuses", history.Snapshot{L4: &l4.Status{}}, history.Snapshot{L4: &l4.Status{LastError: "no"}}, "12:01:00 warn l4 dataplane: no"},
		{"and takes again", history.Snapshot{L4: &l4.Status{LastError: "no"}}, history.Snapshot{L4: &l4.Status{}}, "12:01:00 info l4 dataplane: in step again"},
		{"the proxy dies", history.Snapshot{L7: ready(true)}, history.Snapshot{Missing: "gone"}, "12:01:00 warn l7 proxy: does not answer: gone"},
		{"and is back", history.Snapshot{Missing: "gone"}, history.Snapshot{L7: ready(true)}, "12:01:00 info l7 proxy: ready, 3 routes"},
		{"not ready", history.Snapshot{L7: ready(true)}, history.Snapshot{L7: ready(false)}, "12:01:00 warn l7 proxy: not ready: no source"},
		{"reloaded", history.Snapshot{Configs: config(history.Config{Loaded: after(1)})}, history.Snapshot{Configs: config(history.Config{Loaded: after(2)})},
			"12:00:04 info config director: loaded"},
		{"refused", history.Snapshot{Configs: config(history.Config{Loaded: after(1)})},
			history.Snapshot{Configs: config(history.Config{Loaded: after(1), Failed: after(3), Error: "line 3"})}, "12:00:06 warn config director: refused: line 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r history.Recorder
			r.Add(c.a)
			before := len(r.Events())
			c.b.At = after(30)
			r.Add(c.b)
			var got []string
			all := r.Events()
			for _, e := range all[:len(all)-before] {
				got = append(got, fmt.Sprintf("%s %s %s %s: %s", e.At.Format("15:04:05"), e.Level, e.Part, e.Object, e.Text))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}
