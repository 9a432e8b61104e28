package scenario

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// fast is a check that sees a listener go at once, and come back soon.
const fast = `check = { interval = "500ms", timeout = "500ms", rise = 2 }
`

// TestDrainByOrder takes a server out of service while streams live on it, as
// an operator does who wants to work on it.
func TestDrainByOrder(t *testing.T) {
	f := newFarm(t, 3, 1)
	d := f.director(0, "scheduler = \"rr\"\n"+fast+f.list("", f.servers...))
	d.waitWeight(1, f.servers...)
	streams := d.hold(20)
	victim := f.servers[1]
	its := of(streams, victim)
	if len(its) < 2 {
		t.Fatalf("%d streams on %s", len(its), victim.Name())
	}

	order := d.portico("drain", "edge-2", "--wait")
	took := d.waitWeight(0, victim)
	tally := f.client.Burst(30, 2, d.request())
	figure(t, "portico drain edge-2 --wait: weight 0 after %v; streams alive %d of 20; %v", took, alive(streams), tally)
	if tally.Answered != 30 || tally.By[victim.Name()] != 0 {
		t.Errorf("while it drains: %v", tally)
	}
	if n := alive(streams); n != 20 {
		t.Errorf("%d of 20 streams are alive", n)
	}
	for _, s := range its[1:] {
		s.conn.Close()
	}
	order.WaitLog("edge-2: 1 connections left", patience)
	select {
	case <-order.Done():
		t.Errorf("the command returned while a stream was alive: %v\n%s", order.Wait(), order.Log())
	default:
	}
	its[0].conn.Close()
	since := mark()
	if err := order.Wait(); err != nil {
		t.Errorf("drain --wait: %v\n%s", err, order.Log())
	}
	figure(t, "the command returned %v after the last stream ended, and had said: %q", since(), strings.Split(strings.TrimSpace(order.Log()), "\n"))

	// The order outlives the process.
	d.proc.Kill()
	d.start()
	d.proc.WaitLog("to=Active", patience)
	b, _ := d.Command(binary(), "status", "--config", d.config).CombinedOutput() // not 0: no proxy runs here
	if !strings.Contains(string(b), "drained by command") {
		t.Errorf("portico status does not tell of the drain:\n%s", b)
	}
	tally = f.client.Burst(30, 2, d.request())
	if tally.Answered != 30 || tally.By[victim.Name()] != 0 || d.weight(victim) != 0 {
		t.Errorf("after a restart: weight %d, %v", d.weight(victim), tally)
	}
	if err := d.portico("undrain", "edge-2").Wait(); err != nil {
		t.Errorf("undrain: %v", err)
	}
	took = d.waitWeight(1, victim)
	tally = f.client.Burst(30, 2, d.request())
	figure(t, "portico undrain edge-2: weight 1 after %v; %v", took, tally)
	if tally.Answered != 30 || tally.By[victim.Name()] != 10 {
		t.Errorf("after undrain: %v", tally)
	}
}

// TestDrainByReload takes two servers out of the file: one whose streams end,
// which goes then, and one whose streams do not, which goes at the deadline.
func TestDrainByReload(t *testing.T) {
	const deadline = 10 * time.Second
	f := newFarm(t, 3, 1)
	service := fmt.Sprintf("scheduler = \"rr\"\ndrain = %q\n%s", deadline, fast)
	d := f.director(0, service+f.list("", f.servers...))
	d.waitWeight(1, f.servers...)
	streams := d.hold(20)
	stays, lasting, ending := f.servers[0], f.servers[1], f.servers[2]

	d.configure(service + f.list("", stays))
	d.proc.Signal(syscall.SIGHUP)
	began := mark()
	took := d.waitWeight(0, lasting, ending)
	tally := f.client.Burst(30, 2, d.request())
	n := alive(streams)
	figure(t, "two servers left the file: weight 0 after %v; streams alive %d of 20; %v", took, n, tally)
	if n != 20 || tally.By[stays.Name()] != 30 {
		t.Errorf("while they drain: %d streams alive, %v", n, tally)
	}
	for _, s := range of(streams, ending) {
		s.conn.Close()
	}
	ended := mark()
	d.waitWeight(-1, ending)
	early := began()
	figure(t, "the one whose streams ended left the kernel %v after them, %v after the reload", ended(), early)
	if early > deadline || d.weight(lasting) != 0 {
		t.Errorf("%s left after %v, %s has weight %d", ending.Name(), early, lasting.Name(), d.weight(lasting))
	}
	if n, want := alive(of(streams, lasting)), len(of(streams, lasting)); n != want {
		t.Errorf("%d of %d streams of the other are alive before its deadline", n, want)
	}
	d.waitWeight(-1, lasting)
	late := began()
	figure(t, "the other left the kernel %v after the reload, drain = %v: streams alive %d of %d", late, deadline, alive(of(streams, lasting)), len(of(streams, lasting)))
	if late < deadline || late > deadline+5*time.Second {
		t.Errorf("%s left after %v", lasting.Name(), late)
	}
	if n := alive(of(streams, lasting)); n != 0 {
		t.Errorf("%d streams of a server that is gone are answered", n)
	}
	if n, want := alive(of(streams, stays)), len(of(streams, stays)); n != want {
		t.Errorf("%d of %d streams of the server that stayed are alive", n, want)
	}
}

// TestSlowStart watches the weight of a server that came back.
func TestSlowStart(t *testing.T) {
	const whole, ramp = 100, 10 * time.Second
	f := newFarm(t, 2, 1)
	d := f.director(0, fmt.Sprintf("scheduler = \"wrr\"\nslow_start = %q\n", ramp)+fast+f.list(", weight = 100", f.servers...))
	d.waitWeight(whole, f.servers...) // from nothing: they all begin slowly
	back := f.servers[1]
	back.deafen()
	gone := d.waitWeight(0, back)

	back.listen()
	up := mark()
	lab.Eventually(t, patience, "the first connections", func() error {
		if d.weight(back) == 0 {
			return fmt.Errorf("weight 0")
		}
		return nil
	})
	first := up()
	began := mark()
	var weights []int
	lab.Eventually(t, patience, "the whole weight", func() error {
		w := d.weight(back)
		if len(weights) == 0 || weights[len(weights)-1] != w {
			weights = append(weights, w)
		}
		if w < whole {
			return fmt.Errorf("%d", w)
		}
		return nil
	})
	took := began()
	figure(t, "slow_start = %v: weight 0 %v after its end; first weight %v after its return, then in %v: %v", ramp, gone, first, took, weights)
	if !slices.IsSorted(weights) || len(weights) < 6 || weights[0] > whole/4 {
		t.Errorf("weights %v do not rise slowly", weights)
	}
	if took < ramp-2*time.Second || took > ramp+4*time.Second {
		t.Errorf("the whole weight came after %v", took)
	}
}

// TestSorryServer has too few servers up, as a client sees it.
func TestSorryServer(t *testing.T) {
	f := newFarm(t, 4, 1)
	servers, sorry := f.servers[:3], f.servers[3]
	d := f.director(0, fmt.Sprintf("scheduler = \"rr\"\nquorum = 2\nsorry = \"%s:80\"\n", sorry.addr)+fast+f.list("", servers...))
	d.waitWeight(1, servers...)
	held := d.hold(3)
	burst := func(when string, want map[string]int) {
		t.Helper()
		tally := f.client.Burst(30, 2, d.request())
		figure(t, "%s: %v", when, tally)
		for _, s := range f.servers {
			if tally.By[s.Name()] != want[s.Name()] {
				t.Errorf("%s: %s answered %d, want %d", when, s.Name(), tally.By[s.Name()], want[s.Name()])
			}
		}
	}
	burst("three of three up, quorum 2", map[string]int{"edge-1": 10, "edge-2": 10, "edge-3": 10})

	servers[0].deafen()
	d.waitWeight(0, servers[0])
	burst("two up", map[string]int{"edge-2": 15, "edge-3": 15})

	servers[1].deafen()
	took := d.waitWeight(1, sorry)
	d.waitWeight(0, servers...)
	figure(t, "the sorry server stands %v after the quorum was lost; streams alive %d of 3", took, alive(held))
	burst("one up, below the quorum", map[string]int{"edge-4": 30})
	if n := alive(held); n != 3 {
		t.Errorf("%d of 3 streams are alive below the quorum", n)
	}

	apology := d.hold(1)
	servers[1].listen()
	d.waitWeight(1, servers[1], servers[2])
	burst("two up again", map[string]int{"edge-2": 15, "edge-3": 15})
	if n := alive(apology); n != 1 {
		t.Errorf("the stream to the sorry server broke when the quorum was back")
	}
	apology[0].conn.Close()
	gone := d.waitWeight(-1, sorry)
	figure(t, "the sorry server left the kernel %v after its last stream", gone)
	if table := d.ipvs(); strings.Contains(table, sorry.addr) {
		t.Errorf("the sorry server is still there:\n%s", table)
	}
}
