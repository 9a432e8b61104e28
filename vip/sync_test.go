package vip

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// syncNode is a node with a group on each of two wires, which move together.
type syncNode struct {
	one, two *router
	stop     func()
}

func newSyncNode(t *testing.T, wires [2]*wire, hosts [2]int, priority int, preempt bool) syncNode {
	var rs []*router
	for i := range wires {
		g := testGroup(priority)
		g.Name, g.VRRP.SyncGroup, g.VRRP.Preempt = fmt.Sprintf("g%d", i+1), "both", preempt
		r := newTestRouter(wires[i], fmt.Sprintf("192.0.2.%d", hosts[i]), g, false)
		rs = append(rs, r)
	}
	syncGroups(nil, rs)
	stop1, stop2 := start(t.Context(), rs[0]), start(t.Context(), rs[1])
	return syncNode{rs[0], rs[1], func() { stopAll(map[*router]func(){rs[0]: stop1, rs[1]: stop2}) }}
}

func (n syncNode) expect(t *testing.T, state vrrp.State) {
	t.Helper()
	expect(t, n.one, state, state == vrrp.Active)
	expect(t, n.two, state, state == vrrp.Active)
}

func twoWires() [2]*wire {
	return [2]*wire{{plugs: map[*plug]bool{}}, {plugs: map[*plug]bool{}}}
}

// TestSyncGroup follows two nodes through a dead link of one group, its
// return, and the stop of a node.
func TestSyncGroup(t *testing.T) {
	for _, preempt := range []bool{false, true} {
		t.Run(fmt.Sprintf("preempt %v", preempt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoWires()
				a := newSyncNode(t, w, [2]int{3, 7}, 150, preempt)
				b := newSyncNode(t, w, [2]int{7, 3}, 100, preempt)
				<-time.After(5 * time.Second)
				a.expect(t, vrrp.Active)
				b.expect(t, vrrp.Backup)

				// On the dead link nothing is heard, on the other a resignation.
				a.two.setLink(addr.Link{Index: 1})
				<-time.After(2 * time.Second)
				a.expect(t, vrrp.Fault)
				b.expect(t, vrrp.Active)
				if s := a.one.snapshot(); s.Reason != "sync group both: group g2: interface eth0 is down" {
					t.Errorf("g1 is in Fault by %q", s.Reason)
				}

				a.two.setLink(addr.Link{Index: 1, Up: true})
				<-time.After(10 * time.Second)
				first, second := a, b
				if !preempt {
					first, second = b, a
				}
				first.expect(t, vrrp.Active)
				second.expect(t, vrrp.Backup)

				first.stop()
				<-time.After(time.Second)
				second.expect(t, vrrp.Active)
				second.stop()
				if n := len(second.one.snapshot().History); n > 8 {
					t.Errorf("%d transitions: it flapped", n)
				}
			})
		})
	}
}

// TestSyncGroupPartition: a link on which the owner is no longer heard does not
// split the sync group.
func TestSyncGroupPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoWires()
		a := newSyncNode(t, w, [2]int{3, 3}, 150, false)
		defer a.stop()
		apart := [2]*wire{w[0], twoWires()[1]}
		b := newSyncNode(t, apart, [2]int{7, 7}, 100, false)
		defer b.stop()
		<-time.After(30 * time.Second)
		a.expect(t, vrrp.Active)
		b.expect(t, vrrp.Backup)
	})
}

// TestSyncGroupTie: equals of which each is better on one link agree soon.
func TestSyncGroupTie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoWires()
		nodes := []syncNode{
			newSyncNode(t, w, [2]int{4, 8}, 100, false),
			newSyncNode(t, w, [2]int{8, 4}, 100, false),
		}
		<-time.After(20 * time.Second)
		var settled []uint64
		for _, n := range nodes {
			settled = append(settled, n.one.snapshot().Transitions)
		}
		<-time.After(20 * time.Second)
		owners := 0
		for i, n := range nodes {
			state := n.one.snapshot().State
			n.expect(t, state)
			if state == vrrp.Active {
				owners++
			}
			if s := n.one.snapshot(); s.Transitions != settled[i] {
				t.Errorf("after 20 s %d transitions, later %d", settled[i], s.Transitions)
			}
		}
		if owners != 1 {
			t.Errorf("%d owners", owners)
		}
		for _, n := range nodes {
			n.stop()
		}
	})
}

// TestSyncGroupTracking: what takes priority from one takes it from all.
func TestSyncGroupTracking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoWires()
		a := newSyncNode(t, w, [2]int{3, 3}, 150, false)
		defer a.stop()
		b := newSyncNode(t, w, [2]int{7, 7}, 120, false)
		defer b.stop()
		<-time.After(5 * time.Second)
		a.expect(t, vrrp.Active)
		a.one.setVerdict(track.Verdict{Delta: -50}, false)
		<-time.After(2 * time.Second)
		a.expect(t, vrrp.Backup)
		b.expect(t, vrrp.Active)
		if s := a.two.snapshot(); s.EffectivePriority != 100 || s.Priority != 150 {
			t.Errorf("priority %d, effective %d", s.Priority, s.EffectivePriority)
		}
	})
}

// TestTrackedFault: a fault hands over before it lets go, and clears.
func TestTrackedFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		stopA, a := testRouter(t, w, "192.0.2.3", testGroup(150), false)
		defer stopA()
		stopB, b := testRouter(t, w, "192.0.2.7", testGroup(100), false)
		defer stopB()
		<-time.After(5 * time.Second)
		expect(t, a, vrrp.Active, true)
		a.setVerdict(track.Verdict{Fault: "the uplink is down"}, false)
		expect(t, a, vrrp.Backup, true)
		expect(t, b, vrrp.Backup, false)
		<-time.After(700 * time.Millisecond)
		expect(t, b, vrrp.Active, true)
		expect(t, a, vrrp.Backup, true)
		<-time.After(300 * time.Millisecond)
		expect(t, a, vrrp.Fault, false)
		a.setVerdict(track.Verdict{}, false)
		expect(t, a, vrrp.Backup, false)

		want := []string{"Initialize Backup started", "Backup Active no Active heard", "Active Backup handing over to a successor",
			"Backup Fault the uplink is down", "Fault Backup started"}
		for i, h := range a.snapshot().History {
			got := fmt.Sprintf("%v %v %s", h.From, h.To, h.Reason)
			if i >= len(want) || got != want[i] || h.Seq != uint64(i+1) {
				t.Errorf("transition %d (%d): %s", i, h.Seq, got)
			}
		}
	})
}

// TestConclude lists what members may tell.
func TestConclude(t *testing.T) {
	up := member{state: vrrp.Active, obeyed: 3, present: true}
	down := member{state: vrrp.Backup, obeyed: 3, present: true}
	ready := member{state: vrrp.Backup, ready: true, obeyed: 3, present: true}
	late := member{state: vrrp.Active, obeyed: 2, present: true}
	lateDown := member{state: vrrp.Backup, obeyed: 2, present: true}
	faulty := member{state: vrrp.Backup, obeyed: 3, present: true, own: track.Verdict{Fault: "x"}}
	tests := []struct {
		name   string
		active bool
		a, b   member
		want   bool
	}{
		{"both up", true, up, up, true},
		{"one went down", true, up, down, false},
		{"one has not yet come up", true, up, lateDown, true},
		{"one came up by a resignation", false, down, up, true},
		{"one has not yet gone down", false, down, late, false},
		{"one is ready", false, down, ready, false},
		{"both are ready", false, ready, ready, true},
		{"one has told nothing", false, ready, member{}, false},
		{"one is faulty", true, up, faulty, false},
		{"one is faulty, one ready", false, ready, faulty, false},
	}
	for _, tt := range tests {
		if got := conclude(tt.active, 3, map[string]member{"a": tt.a, "b": tt.b}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
