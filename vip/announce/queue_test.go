package announce

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/vip/neighbor"
)

// group is one whose interface can be used.
func group(name string, addrs int, change ...func(*Group)) Group {
	g := Group{Name: name, Interface: "bond0.100", Index: 7, MAC: neighbor.MAC{2, 5: 1}, Up: true, Acquired: 1}
	for i := range addrs {
		g.Addrs = append(g.Addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newQueue() *queue { return &queue{jitter: func(d time.Duration) time.Duration { return d / 2 }} }

// run drains the queue from now until the time given, and returns what was
// announced as "seconds name*count".
func (q *queue) run(from, to time.Duration) string {
	var said []string
	for now := begin.Add(from); ; {
		count, order := map[string]int{}, []string{}
		for j := q.take(now); j != nil; j = q.take(now) {
			if count[j.Name]++; count[j.Name] == 1 {
				order = append(order, j.Name)
			}
			j.sent(now, nil)
		}
		for _, name := range order {
			said = append(said, fmt.Sprintf("%v %s*%d", now.Sub(begin).Seconds(), name, count[name]))
		}
		next := q.next(now)
		if next.IsZero() || next.After(begin.Add(to)) {
			return strings.Join(said, ", ")
		}
		now = next
	}
}

// TestQueue applies one set of groups after another to a queue.
func TestQueue(t *testing.T) {
	acquired := func(g *Group) { g.Acquired++ }
	down := func(g *Group) { g.Up = false }
	tests := []struct {
		name string
		sets [][]Group // ten seconds apart
		want string
	}{
		{"take-over and refresh", [][]Group{{group("a", 2)}, nil, {group("a", 2)}}, "0 a*10, 5 a*10 | | 20 a*10, 25 a*10"},
		{"nothing changes", [][]Group{{group("a", 1)}, {group("a", 1)}, {group("a", 1)}}, "0 a*5, 5 a*5 | | "},
		{"taken over between", [][]Group{{group("a", 1)}, {group("a", 1, acquired)}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"two groups", [][]Group{{group("a", 1), group("b", 3)}}, "0 a*5, 0 b*15, 5 a*5, 5 b*15"},
		{"address added", [][]Group{{group("a", 1)}, {group("a", 2)}}, "0 a*5, 5 a*5 | 10 a*10, 15 a*10"},
		{"disputed", [][]Group{{group("a", 1)}, {group("a", 1, func(g *Group) { g.Disputed = 9 })}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"moved, such as a bond", [][]Group{{group("a", 1)}, {group("a", 1, func(g *Group) { g.Moved = 1 })}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"new hardware address", [][]Group{{group("a", 1)}, {group("a", 1, func(g *Group) { g.MAC[5]++ })}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"interface created anew", [][]Group{{group("a", 1)}, {group("a", 1, func(g *Group) { g.Index++ })}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"other interface", [][]Group{{group("a", 1)}, {group("a", 1, func(g *Group) { g.Interface = "eth1" })}}, "0 a*5, 5 a*5 | 10 a*5, 15 a*5"},
		{"down and up", [][]Group{{group("a", 1)}, {group("a", 1, down)}, {group("a", 1)}}, "0 a*5, 5 a*5 |  | 20 a*5, 25 a*5"},
		{"taken over while down", [][]Group{{group("a", 1, down)}, {group("a", 1)}}, " | 10 a*5, 15 a*5"},
		{"contested", [][]Group{{group("a", 2)}, {group("a", 2, func(g *Group) { g.Contested = 1 })}}, "0 a*10, 5 a*10 | 10 a*2"},
		{"without Ethernet", [][]Group{{group("a", 1, func(g *Group) { g.MAC = neighbor.MAC{} })}}, ""},
		{"missing interface", [][]Group{{group("a", 1, func(g *Group) { g.Index = 0 })}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			var got []string
			for i, groups := range tt.sets {
				from := time.Duration(i) * 10 * time.Second
				q.set(begin.Add(from), groups)
				got = append(got, q.run(from, from+9*time.Second))
			}
			want := strings.ReplaceAll(tt.want, " ", "")
			if s := strings.ReplaceAll(strings.Join(got, "|"), " ", ""); s != want {
				t.Errorf("\n got %s\nwant %s", s, want)
			}
		})
	}
}

// TestEachOnceFirst: every address of every group is heard of before any is
// heard of again.
func TestEachOnceFirst(t *testing.T) {
	q := newQueue()
	q.set(begin, []Group{group("a", 64), group("b", 1), group("c", 3)})
	count := map[string]int{}
	for i := range 5 * 68 {
		j := q.take(begin)
		key := fmt.Sprint(j.Name, j.Addrs[j.at])
		if count[key]++; count[key] != i/68+1 {
			t.Fatalf("frame %d is %s the %d. time", i, key, count[key])
		}
		j.sent(begin, nil)
	}
	if j := q.take(begin); j != nil {
		t.Errorf("and then %s", j.Name)
	}
}

// TestFaultIsRepeated: what the device refused is said later, nothing twice.
func TestFaultIsRepeated(t *testing.T) {
	q := newQueue()
	q.set(begin, []Group{group("a", 3), group("b", 1)})
	j := q.take(begin)
	j.sent(begin, nil)
	j.sent(begin, unix.ENOBUFS)
	if j.fault == "" || j.rounds != Repeat || j.at != 1 {
		t.Errorf("after a fault: %+v", j)
	}
	if k := q.take(begin); k == nil || k.Name != "b" {
		t.Error("the other group waits too")
	}
	if got, want := q.run(0, time.Second), "0 b*5, 0.1 a*14"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if j.fault != "" {
		t.Errorf("the fault stays: %s", j.fault)
	}
}

// TestRefreshes of groups that moved together drift apart.
func TestRefreshes(t *testing.T) {
	q := newQueue()
	q.set(begin, []Group{group("a", 1)})
	if got, want := q.run(0, 126*time.Second), "0 a*5, 5 a*5, 65 a*1, 125 a*1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	n := time.Duration(0)
	q = &queue{jitter: func(d time.Duration) time.Duration { n++; return n % 7 * d / 7 }}
	q.set(begin, []Group{group("a", 1), group("b", 1), group("c", 1)})
	q.run(0, 6*time.Second)
	if a, b := q.jobs[0].schedule.Next(), q.jobs[1].schedule.Next(); a.Equal(b) {
		t.Errorf("both at %v", a)
	}
}

// TestDoubt: what became due while the process stood still is not said before
// the group is sure again, and not at all if it was lost.
func TestDoubt(t *testing.T) {
	sure := true
	q := newQueue()
	groups := []Group{group("a", 2, func(g *Group) { g.Sure = func() bool { return sure } }), group("b", 1)}
	q.set(begin, groups)
	if got, want := q.run(0, time.Second), "0 a*10, 0 b*5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sure = false
	if got, want := q.run(9*time.Second, 9*time.Second), "9 b*5"; got != want {
		t.Errorf("in doubt: got %s, want %s", got, want)
	}
	sure = true
	if got, want := q.run(9050*time.Millisecond, 10*time.Second), "9.1 a*10"; got != want {
		t.Errorf("sure again: got %s, want %s", got, want)
	}
	groups[0].Contested++
	q.set(begin.Add(20*time.Second), groups)
	sure = false
	q.run(20*time.Second, 20*time.Second)
	q.set(begin.Add(21*time.Second), groups[1:])
	sure = true
	if got := q.run(21*time.Second, 22*time.Second); got != "" {
		t.Errorf("lost: got %s", got)
	}
}

// TestWithdrawn: nothing more is said of a group that is gone.
func TestWithdrawn(t *testing.T) {
	q := newQueue()
	q.set(begin, []Group{group("a", 3), group("b", 1)})
	q.take(begin).sent(begin, nil)
	q.set(begin, []Group{group("b", 1)})
	if got, want := q.run(0, time.Second), "0 b*5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
