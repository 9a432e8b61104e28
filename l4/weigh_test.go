package l4_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
)

// The first of two servers with a weight of 100 is asked how much of it it
// wants.
func TestWeightFromServer(t *testing.T) {
	now := time.Unix(1e9, 0)
	up := health.State{Known: true, Up: true, Since: now.Add(-time.Minute), Percent: 100}
	wants := func(percent int) health.State {
		s := up
		s.Percent = percent
		return s
	}
	for name, tt := range map[string]struct {
		first health.State
		have  int // its weight in the dataplane
		slow  time.Duration
		want  [2]int
	}{
		"all":                        {wants(100), 100, 0, [2]int{100, 100}},
		"less":                       {wants(40), 100, 0, [2]int{40, 100}},
		"more again":                 {wants(80), 40, 0, [2]int{80, 100}},
		"nothing":                    {wants(0), 100, 0, [2]int{0, 100}},
		"down, whatever it wanted":   {health.State{Known: true, Percent: 40}, 40, 0, [2]int{0, 100}},
		"not known, serving":         {health.State{}, 40, 0, [2]int{40, 100}},
		"not known, out of service":  {health.State{}, 0, 0, [2]int{0, 100}},
		"less, on its way up":        {wants(40), 0, 2 * time.Minute, [2]int{20, 100}},
		"less than it has, on a way": {wants(40), 90, 2 * time.Minute, [2]int{40, 100}},
	} {
		s := service("wlc", vip4, "10.0.0.1*100", "10.0.0.2*100")
		s.SlowStart = tt.slow
		s.Servers[0].Check.WeightFrom = "body"
		have := l4.State{Services: []l4.VirtualService{{Key: key(80), Destinations: []l4.Destination{
			{Addr: s.Servers[0].Addr, Weight: tt.have}, {Addr: s.Servers[1].Addr, Weight: 100},
		}}}}
		h := health.NewSnapshot(map[health.Check]health.State{s.Servers[0].Check: tt.first, s.Servers[1].Check: wants(7)})
		got := l4.Plan(l4.Config{Services: []l4.Service{s}}, l4.Inputs{Now: now, Health: h, Owned: everywhere, Have: have})
		for i, d := range got.Services[0].Destinations {
			if d.Weight != tt.want[i] {
				t.Errorf("%s: weight %d of %s, want %d", name, d.Weight, d.Addr, tt.want[i])
			}
		}
	}
}

// Who wants nothing does not count for the quorum.
func TestWeightFromServerAndQuorum(t *testing.T) {
	s := service("wlc", vip4, "10.0.0.1*100", "10.0.0.2*100")
	s.Servers[0].Check.WeightFrom = "body"
	s.Quorum, s.AllDown = 2, l4.Reject
	h := health.NewSnapshot(map[health.Check]health.State{
		s.Servers[0].Check: {Known: true, Up: true}, s.Servers[1].Check: {Known: true, Up: true},
	})
	got := l4.Plan(l4.Config{Services: []l4.Service{s}}, l4.Inputs{Health: h, Owned: everywhere})
	for _, d := range got.Services[0].Destinations {
		if d.Weight != 0 {
			t.Errorf("weight %d of %s below the quorum", d.Weight, d.Addr)
		}
	}
}

func TestParseWeightFrom(t *testing.T) {
	service := func(scheduler, weight string) string {
		return `[[service]]
name = "web"
vip = "edge"
port = 80
scheduler = "` + scheduler + `"
check = { kind = "http", weight_from = "body" }
server = [{ address = "10.0.0.1"` + weight + ` }]
`
	}
	for text, want := range map[string][]string{
		service("wrr", ", weight = 100"): nil,
		service("mh", ", weight = 100"): {
			`l4.service[0].check.weight_from: stands beside scheduler "mh": with every change clients would get another server, use wrr or wlc`,
		},
		service("rr", ", weight = 100"): {
			`l4.service[0].check.weight_from: has no effect with scheduler "rr", which does not look at weights: use wrr or wlc`,
		},
		service("wlc", ""): {
			`l4.service[0].server[0].weight: weight_from of its check has no effect on a weight of 1: write 100`,
		},
		strings.Replace(service("wlc", ""), "server =", `servers_from = { node_selector = "edge=true" } #`, 1): {
			`l4.service[0].servers_from.weight: weight_from of its check has no effect on a weight of 1: write 100`,
		},
	} {
		if _, faults := parse(t, text); !cmp.Equal(faults, want) {
			t.Errorf("%s: %s", text, cmp.Diff(want, faults))
		}
	}
}
