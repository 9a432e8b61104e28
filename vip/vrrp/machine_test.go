package vrrp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var actionNames = []string{"advertise", "resign", "acquire", "release", "announce"}

// at is one event of a script, or a nap. Ticks are not written: the script's
// runner sends one at every deadline that passes.
type at struct {
	ms int
	ev any
}

// nap suspends the machine for so many milliseconds.
type nap int

// play runs a script and prints every event with what came of it, until end.
func play(c vrrp.Config, script []at, endMS int) string {
	var out strings.Builder
	m := vrrp.NewMachine(c)
	step := func(now time.Time, ev vrrp.Event) {
		before, ready := m.State(), m.Ready()
		actions := m.Step(now, ev)
		if _, tick := ev.(vrrp.Tick); tick && len(actions) == 0 && m.State() == before && m.Ready() == ready {
			return // a Backup looking whether it slept
		}
		fmt.Fprintf(&out, "%dms %s:", now.Sub(epoch).Milliseconds(), eventName(ev))
		for _, a := range actions {
			fmt.Fprintf(&out, " %s", actionNames[a])
		}
		if s := m.State(); s != before {
			fmt.Fprintf(&out, " %v (%s)", s, m.Reason())
		}
		if m.Ready() {
			out.WriteString(" ready")
		}
		if m.Adopting() {
			out.WriteString(" adopting")
		}
		out.WriteByte('\n')
	}
	var awake time.Time
	for _, e := range append(script, at{endMS, nil}) {
		now := epoch.Add(time.Duration(e.ms) * time.Millisecond)
		for d := m.Deadline(); !d.IsZero() && d.Before(now); d = m.Deadline() {
			if d.Before(awake) {
				d = awake
			}
			if !d.Before(now) {
				break
			}
			step(d, vrrp.Tick{})
		}
		switch ev := e.ev.(type) {
		case nap:
			awake = now.Add(time.Duration(ev) * time.Millisecond)
		case vrrp.Event:
			step(now, ev)
		}
	}
	return out.String()
}

func eventName(ev vrrp.Event) string {
	switch ev := ev.(type) {
	case vrrp.Advert:
		return fmt.Sprintf("advert %d from %v", ev.Priority, ev.Src)
	case vrrp.Start:
		return "start"
	case vrrp.Leave:
		return "leave"
	case vrrp.Stop:
		return "stop"
	case vrrp.Reconfigure:
		return "reconfigure"
	case vrrp.Promote:
		return "promote"
	case vrrp.Yield:
		return "yield"
	}
	return "tick"
}

func heard(priority uint8, src string) vrrp.Advert {
	return vrrp.Advert{Src: ip(src), Priority: priority, Interval: time.Second}
}

// TestMachine plays one script per rule. With priority 128 at one second the
// skew is 500 ms and the down interval 3.5 s.
func TestMachine(t *testing.T) {
	base := vrrp.Config{Version: 3, Priority: 128, Interval: time.Second, Address: ip("192.0.2.7")}
	preempt, delayed, v2 := base, base, base
	preempt.Preempt = true
	delayed.Preempt, delayed.PreemptDelay = true, 2500*time.Millisecond
	v2.Version = 2
	lower, quick := base, base
	lower.Priority = 64
	quick.Interval = 100 * time.Millisecond
	degraded, synced := base, base
	degraded.Delta = -64 // skew 750 ms
	degradedMore, degradedPreempt := degraded, degraded
	degradedMore.Delta = -96
	degradedPreempt.Preempt = true
	synced.Synced = true

	tests := []struct {
		name   string
		cfg    vrrp.Config
		script []at
		end    int
		want   string
	}{
		{"alone", base, []at{{0, vrrp.Start{}}, {5600, vrrp.Stop{}}}, 9000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4500ms tick: advertise
5500ms tick: advertise
5600ms stop: resign release Initialize (stopped)
`},
		{"leaving, a successor is heard", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Leave{}}, {4100, heard(0, "192.0.2.8")}, {4600, heard(1, "192.0.2.9")}}, 9000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms leave: resign Backup (handing over to a successor) adopting
4100ms advert 0 from 192.0.2.8: adopting
4600ms advert 1 from 192.0.2.9: adopting
4850ms tick: release Initialize (stopped)
`},
		{"leaving, a quick successor is heard twice", quick, []at{{0, vrrp.Start{}}, {400, vrrp.Leave{}}, {880, heard(1, "192.0.2.9")}, {980, heard(1, "192.0.2.9")}}, 9000, `
0ms start: Backup (started)
350ms tick: advertise acquire Active (no Active heard)
400ms leave: resign Backup (handing over to a successor) adopting
880ms advert 1 from 192.0.2.9: adopting
980ms advert 1 from 192.0.2.9: adopting
1130ms tick: release Initialize (stopped)
`},
		{"leaving, nobody comes", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Leave{}}}, 9000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms leave: resign Backup (handing over to a successor) adopting
5000ms tick: release Initialize (stopped)
`},
		{"leaving, the interface fails", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Leave{}}, {4100, vrrp.Stop{}}}, 9000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms leave: resign Backup (handing over to a successor) adopting
4100ms stop: resign release Initialize (stopped)
`},
		{"a Backup leaves at once", base, []at{{0, vrrp.Start{}}, {100, vrrp.Leave{}}}, 9000, `
0ms start: Backup (started)
100ms leave: Initialize (stopped)
`},
		{"stopped Backup says nothing", base, []at{{0, vrrp.Start{}}, {100, vrrp.Stop{}}}, 9000, `
0ms start: Backup (started)
100ms stop: Initialize (stopped)
`},
		{"Active resigns", base, []at{{0, vrrp.Start{}}, {1000, heard(200, "192.0.2.9")}, {1200, heard(0, "192.0.2.9")}}, 2000, `
0ms start: Backup (started)
1000ms advert 200 from 192.0.2.9:
1200ms advert 0 from 192.0.2.9:
1700ms tick: advertise acquire Active (the Active resigned)
`},
		{"without preemption a lower priority rules", base, []at{{0, vrrp.Start{}}, {3000, heard(1, "192.0.2.1")}}, 7000, `
0ms start: Backup (started)
3000ms advert 1 from 192.0.2.1:
6500ms tick: advertise acquire Active (no Active heard)
`},
		{"preemption does not hear a lower priority", preempt, []at{{0, vrrp.Start{}}, {1000, heard(1, "192.0.2.1")}, {3000, heard(127, "192.0.2.1")}}, 4000, `
0ms start: Backup (started)
1000ms advert 1 from 192.0.2.1:
3000ms advert 127 from 192.0.2.1:
3500ms tick: advertise acquire Active (the Active has a lower priority)
`},
		{"preemption hears an equal priority", preempt, []at{{0, vrrp.Start{}}, {3000, heard(128, "192.0.2.1")}}, 6000, `
0ms start: Backup (started)
3000ms advert 128 from 192.0.2.1:
`},
		{"preempt_delay counts from the first lower advert", delayed, []at{{0, vrrp.Start{}},
			{1000, heard(1, "192.0.2.1")}, {2000, heard(1, "192.0.2.1")}, {3000, heard(1, "192.0.2.1")}, {4000, heard(1, "192.0.2.1")}}, 7000, `
0ms start: Backup (started)
1000ms advert 1 from 192.0.2.1:
2000ms advert 1 from 192.0.2.1:
3000ms advert 1 from 192.0.2.1:
4000ms advert 1 from 192.0.2.1:
6500ms tick: advertise acquire Active (the Active has a lower priority)
`},
		{"preempt_delay starts again after a higher priority", delayed, []at{{0, vrrp.Start{}},
			{1000, heard(1, "192.0.2.1")}, {2000, heard(200, "192.0.2.9")}, {4000, heard(1, "192.0.2.1")}}, 7400, `
0ms start: Backup (started)
1000ms advert 1 from 192.0.2.1:
2000ms advert 200 from 192.0.2.9:
4000ms advert 1 from 192.0.2.1:
`},
		{"Active answers a lower priority", base, []at{{0, vrrp.Start{}}, {4000, heard(1, "192.0.2.9")}}, 5200, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms advert 1 from 192.0.2.9: advertise announce
5000ms tick: advertise
`},
		{"Active answers a resignation", base, []at{{0, vrrp.Start{}}, {4000, heard(0, "192.0.2.9")}}, 4100, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms advert 0 from 192.0.2.9: advertise
`},
		{"Active yields to a higher priority", base, []at{{0, vrrp.Start{}}, {4000, heard(129, "192.0.2.1")}}, 8000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms advert 129 from 192.0.2.1: release Backup (heard a higher priority)
7500ms tick: advertise acquire Active (no Active heard)
`},
		{"Active yields to an equal priority from a higher address only", base, []at{{0, vrrp.Start{}},
			{4000, heard(128, "192.0.2.4")}, {4100, heard(128, "192.0.2.8")}}, 4200, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms advert 128 from 192.0.2.4: advertise announce
4100ms advert 128 from 192.0.2.8: release Backup (heard an equal priority from a higher address)
`},
		{"Backup adopts the Active's interval", base, []at{{0, vrrp.Start{}},
			{1000, vrrp.Advert{Src: ip("192.0.2.9"), Priority: 200, Interval: 100 * time.Millisecond}}}, 1400, `
0ms start: Backup (started)
1000ms advert 200 from 192.0.2.9:
1350ms tick: advertise acquire Active (no Active heard)
`},
		{"version 2 counts the skew in seconds", func() vrrp.Config { c := v2; c.Interval = 2 * time.Second; return c }(), []at{{0, vrrp.Start{}}}, 7000, `
0ms start: Backup (started)
6500ms tick: advertise acquire Active (no Active heard)
`},
		{"reconfiguration is told at once and disturbs no timer of a Backup", base, []at{{0, vrrp.Start{}},
			{2000, vrrp.Reconfigure{Config: lower}}, {3600, vrrp.Reconfigure{Config: base}}}, 4700, `
0ms start: Backup (started)
2000ms reconfigure:
3500ms tick: advertise acquire Active (no Active heard)
3600ms reconfigure: advertise
4600ms tick: advertise
`},
		{"adoption of what nobody took", base, []at{{0, vrrp.Start{Holding: true}}}, 2600, `
0ms start: Backup (started) adopting
1500ms tick: advertise acquire Active (still held the addresses after a restart)
2500ms tick: advertise
`},
		{"adoption yields to a higher priority", base, []at{{0, vrrp.Start{Holding: true}}, {500, heard(200, "192.0.2.9")}}, 3900, `
0ms start: Backup (started) adopting
500ms advert 200 from 192.0.2.9: release
`},
		{"adoption without preemption yields to a lower priority", base, []at{{0, vrrp.Start{Holding: true}}, {500, heard(1, "192.0.2.9")}}, 3900, `
0ms start: Backup (started) adopting
500ms advert 1 from 192.0.2.9: release
`},
		{"adoption with preemption takes over from a lower priority", preempt, []at{{0, vrrp.Start{Holding: true}}, {500, heard(1, "192.0.2.9")}}, 600, `
0ms start: Backup (started) adopting
500ms advert 1 from 192.0.2.9: advertise acquire Active (the Active has a lower priority)
`},
		{"adoption with preempt_delay yields to a lower priority", delayed, []at{{0, vrrp.Start{Holding: true}}, {500, heard(1, "192.0.2.9")}}, 600, `
0ms start: Backup (started) adopting
500ms advert 1 from 192.0.2.9: release
`},
		{"an Active stalls, but not for long", base, []at{{0, vrrp.Start{}}, {3600, nap(2800)}}, 6500, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
6400ms tick: advertise
`},
		{"an Active stalls, and nobody took over", base, []at{{0, vrrp.Start{}}, {3600, nap(2900)}}, 8500, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
6500ms tick: Backup (was stalled: another may have taken over) adopting
8000ms tick: advertise acquire Active (no Active heard)
`},
		{"an Active stalls, and yields to who took over, though not the better", base, []at{{0, vrrp.Start{}}, {3600, nap(9400)}, {13001, heard(1, "192.0.2.1")}}, 14000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
13000ms tick: Backup (was stalled: another may have taken over) adopting
13001ms advert 1 from 192.0.2.1: release
`},
		{"an Active stalls, and its mail comes before its timer", base, []at{{0, vrrp.Start{}}, {3600, nap(9400)}, {13000, heard(1, "192.0.2.1")}}, 14000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
13000ms advert 1 from 192.0.2.1: release Backup (another took over in the meantime)
`},
		{"a Backup stalls, and listens before it takes over", base, []at{{0, vrrp.Start{}}, {1000, nap(9000)}}, 12000, `
0ms start: Backup (started)
11500ms tick: advertise acquire Active (no Active heard)
`},
		{"a Backup stalls, and finds adverts in its socket", base, []at{{0, vrrp.Start{}}, {1000, nap(9000)}, {10001, heard(200, "192.0.2.9")}}, 12000, `
0ms start: Backup (started)
10001ms advert 200 from 192.0.2.9:
`},
		{"a Backup that always wakes late takes over nevertheless", base, []at{{0, vrrp.Start{}}, {500, nap(4000)}, {4600, nap(2500)},
			{7200, nap(2500)}, {9800, nap(2500)}}, 13000, `
0ms start: Backup (started)
12300ms tick: advertise acquire Active (no Active heard)
`},
		{"fault: hands over, and starts as Backup when mended", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Leave{Fault: true}}, {4600, heard(1, "192.0.2.9")},
			{6000, vrrp.Start{}}, {6100, heard(1, "192.0.2.9")}}, 7000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms leave: resign Backup (handing over to a successor) adopting
4600ms advert 1 from 192.0.2.9: adopting
4850ms tick: release Fault (fault)
6000ms start: Backup (started)
6100ms advert 1 from 192.0.2.9:
`},
		{"fault that is mended while nobody took over", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Leave{Fault: true}}, {4300, vrrp.Start{}}}, 6000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms leave: resign Backup (handing over to a successor) adopting
4300ms start: adopting
5800ms tick: advertise acquire Active (still held the addresses after a restart)
`},
		{"the interface fails", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Stop{Fault: true}}, {5000, vrrp.Stop{}}}, 6000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms stop: resign release Fault (fault)
5000ms stop: Initialize (stopped)
`},
		{"degraded, a better one takes over, addresses overlap", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Reconfigure{Config: degraded}},
			{4500, heard(128, "192.0.2.1")}, {4700, heard(128, "192.0.2.1")}}, 8000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms reconfigure: resign Backup (its priority fell: stands for election) adopting
4500ms advert 128 from 192.0.2.1: adopting
4700ms advert 128 from 192.0.2.1: adopting
4750ms tick: release
`},
		{"degraded, nobody is better", base, []at{{0, vrrp.Start{}}, {4000, vrrp.Reconfigure{Config: degraded}}, {4900, vrrp.Reconfigure{Config: degraded}},
			{5000, vrrp.Reconfigure{Config: degradedMore}}}, 6000, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms reconfigure: resign Backup (its priority fell: stands for election) adopting
4750ms tick: advertise acquire Active (stood for election, and nobody is better)
4900ms reconfigure:
5000ms reconfigure: resign Backup (its priority fell: stands for election) adopting
5875ms tick: advertise acquire Active (stood for election, and nobody is better)
`},
		{"degraded where all preempt: it says so, and the others know what to do", preempt, []at{{0, vrrp.Start{}}, {4000, vrrp.Reconfigure{Config: degradedPreempt}}}, 4500, `
0ms start: Backup (started)
3500ms tick: advertise acquire Active (no Active heard)
4000ms reconfigure: advertise
`},
		{"a member of a sync group waits for the others", synced, []at{{0, vrrp.Start{}}, {4000, vrrp.Promote{}}, {4100, vrrp.Yield{}}, {4200, heard(200, "192.0.2.9")}}, 9000, `
0ms start: Backup (started)
3500ms tick: ready
4000ms promote: advertise acquire Active (follows its sync group)
4100ms yield: resign Backup (follows its sync group) adopting
4200ms advert 200 from 192.0.2.9: adopting
4450ms tick: release
7700ms tick: ready
`},
		{"a member of a sync group that yields, and is not succeeded, lets go", synced, []at{{0, vrrp.Start{}}, {4000, vrrp.Promote{}}, {4100, vrrp.Yield{}}}, 6000, `
0ms start: Backup (started)
3500ms tick: ready
4000ms promote: advertise acquire Active (follows its sync group)
4100ms yield: resign Backup (follows its sync group) adopting
5100ms tick: release
`},
		{"a member of a sync group need not wait when the Active resigned", synced, []at{{0, vrrp.Start{}}, {1000, heard(0, "192.0.2.9")}}, 2000, `
0ms start: Backup (started)
1000ms advert 0 from 192.0.2.9:
1500ms tick: advertise acquire Active (the Active resigned)
`},
		{"stop while adopting", base, []at{{0, vrrp.Start{Holding: true}}, {500, vrrp.Stop{}}}, 9000, `
0ms start: Backup (started) adopting
500ms stop: resign release Initialize (stopped)
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(tt.cfg, tt.script, tt.end)
			if want := strings.TrimPrefix(tt.want, "\n"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestTie: of Backups with one priority the higher address is first, and none
// waits longer than one of the next lower priority.
func TestTie(t *testing.T) {
	takesOver := func(priority uint8, address string) time.Time {
		m := vrrp.NewMachine(vrrp.Config{Version: 3, Priority: priority, Interval: time.Second, Address: ip(address)})
		m.Step(epoch, vrrp.Start{})
		for m.State() != vrrp.Active {
			now := m.Deadline()
			if m.Step(now, vrrp.Tick{}); m.State() == vrrp.Active {
				return now
			}
		}
		panic("Active at the start")
	}
	last := takesOver(101, "192.0.2.4")
	for _, address := range []string{"192.0.2.7", "192.0.2.6", "192.0.2.5", "192.0.2.4"} {
		d := takesOver(100, address)
		if d.Sub(last) < 900*time.Microsecond {
			t.Errorf("%s takes over %v after the one before it", address, d.Sub(last))
		}
		last = d
	}
}
