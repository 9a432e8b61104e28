package vrrp_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// The model: three routers on one segment. Until calm the network loses,
// delays and partitions, and routers are suspended, killed and started again,
// and what they track fails; then every fault ends.
const (
	calm = 80  // intervals
	most = 150 // intervals, plus the second that handing over may take
)

type router struct {
	cfg     vrrp.Config
	m       *vrrp.Machine // nil: killed
	asleep  time.Duration // suspended until then
	holding bool          // the addresses stand on its interface, whatever became of the process
}

type happening struct {
	when time.Duration
	run  func()
}

type agenda []happening

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].when < a[j].when }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

type model struct {
	rnd     *rand.Rand
	iv      time.Duration // between two adverts
	now     time.Duration
	todo    agenda
	routers []*router
	cut     [3][3]bool
}

func (w *model) after(d time.Duration, run func()) { heap.Push(&w.todo, happening{w.now + d, run}) }
func (w *model) chance(percent int) bool           { return w.rnd.IntN(100) < percent }
func (w *model) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(d)))
}

// step gives a router an event, or keeps it back while the router sleeps.
func (w *model) step(i int, m *vrrp.Machine, ev vrrp.Event) {
	r := w.routers[i]
	if r.m != m {
		return // killed since
	}
	if wait := r.asleep - w.now; wait > 0 {
		// Woken, an Active may see its timer before its mail or after; a
		// Backup is given its mail first.
		late := w.upTo(time.Millisecond)
		if _, timer := ev.(vrrp.Tick); timer && m.State() == vrrp.Backup {
			late = time.Millisecond
		}
		w.after(wait+late, func() { w.step(i, m, ev) })
		return
	}
	before := m.Deadline()
	for _, a := range m.Step(epoch.Add(w.now), ev) {
		switch a {
		case vrrp.Advertise:
			w.send(i, r.cfg.Effective())
		case vrrp.Resign:
			w.send(i, 0)
		case vrrp.Acquire:
			r.holding = true
		case vrrp.Release:
			r.holding = false
		}
	}
	if d := m.Deadline(); !d.IsZero() && !d.Equal(before) {
		w.after(d.Sub(epoch)-w.now, func() {
			if m.Deadline().Equal(d) {
				w.step(i, m, vrrp.Tick{})
			}
		})
	}
}

func (w *model) send(from int, priority uint8) {
	ad := vrrp.Advert{Src: w.routers[from].cfg.Address, Priority: priority, Interval: w.iv}
	for to, r := range w.routers {
		m, delay := r.m, w.upTo(time.Millisecond)
		if w.now < w.calm() {
			if w.cut[from][to] || w.chance(10) {
				continue
			}
			if w.chance(10) {
				delay = w.upTo(3 * w.iv)
			}
		}
		if to != from && m != nil {
			w.after(delay, func() { w.step(to, m, ad) })
		}
	}
}

func (w *model) start(i int) {
	r := w.routers[i]
	r.m = vrrp.NewMachine(r.cfg)
	w.step(i, r.m, vrrp.Start{Holding: r.holding})
}

// weigh changes what tracking adds to a priority.
func (w *model) weigh(i, delta int) {
	r := w.routers[i]
	if r.cfg.Delta = delta; r.m != nil {
		w.step(i, r.m, vrrp.Reconfigure{Config: r.cfg})
	}
}

func (w *model) calm() time.Duration { return calm * w.iv }

// fault does one thing to one router.
func (w *model) fault() {
	i := w.rnd.IntN(3)
	r := w.routers[i]
	left := max(w.calm()-w.now, 1)
	switch w.rnd.IntN(7) {
	case 0, 4:
		r.asleep = w.now + w.upTo(min(left, 10*w.iv))
	case 1, 2: // killed, or stopped in order
		if r.m == nil {
			return
		}
		if w.chance(50) {
			w.step(i, r.m, vrrp.Leave{})
		}
		r.m = nil
		w.after(w.upTo(min(left, 10*w.iv)), func() { w.start(i) })
	case 5: // a tracked thing fails, and is mended
		if m := r.m; m != nil && m.State() != vrrp.Initialize {
			w.step(i, m, vrrp.Leave{Fault: true})
			w.after(w.upTo(min(left, 10*w.iv)), func() { w.step(i, m, vrrp.Start{}) })
		}
	case 6: // a tracked thing takes priority, and gives it back or not
		w.weigh(i, -w.rnd.IntN(120))
		if w.chance(70) {
			w.after(w.upTo(left), func() { w.weigh(i, 0) })
		}
	case 3: // one direction or both of one cable
		j := (i + 1 + w.rnd.IntN(2)) % 3
		both := w.chance(70)
		w.cut[i][j], w.cut[j][i] = true, both
		w.after(w.upTo(left), func() { w.cut[i][j], w.cut[j][i] = false, false })
	}
}

func newModel(seed uint64) *model {
	w := &model{rnd: rand.New(rand.NewPCG(seed, 1)), iv: time.Second}
	if seed%2 == 1 {
		w.iv = 10 * time.Millisecond
	}
	preempt, delay := w.chance(50), time.Duration(0)
	if preempt && w.chance(30) {
		delay = 4 * w.iv
	}
	for i := range 3 {
		w.routers = append(w.routers, &router{cfg: vrrp.Config{
			Version: 3, Interval: w.iv, Preempt: preempt, PreemptDelay: delay,
			Priority: uint8(100 + 50*w.rnd.IntN(3)), // equal ones too
			Address:  netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		}})
		w.after(w.upTo(w.iv), func() { w.start(i) })
	}
	for range w.rnd.IntN(20) {
		w.after(w.upTo(w.calm()), w.fault)
	}
	return w
}

// count counts the routers whose addresses are up, and claims those of them
// that would not take them down by themselves when another is Active: a router
// that hands over overlaps with its successor, for a time that has a limit.
func (w *model) count() (holders, claims int) {
	for _, r := range w.routers {
		if r.holding {
			holders++
		}
		if r.holding && (r.m == nil || r.m.State() == vrrp.Active) {
			claims++
		}
	}
	return holders, claims
}

// run plays the schedule and says what is wrong with it. After the faults two
// owners may meet for one down interval, none may be missing for longer, and
// in the end there is exactly one, who knows it.
func (w *model) run() error {
	down := 4 * w.iv            // the skew is below one interval
	healed := w.calm() + 3*w.iv // when the last delayed packet has arrived
	wrong := time.Duration(0)   // since when there is no owner, or there are two; 0 = there is one
	end := most*w.iv + 2*time.Second
	for steps := 0; w.todo.Len() > 0 && w.todo[0].when < end; steps++ {
		if steps > 100_000 {
			return fmt.Errorf("a storm of adverts at %v", w.now)
		}
		h := heap.Pop(&w.todo).(happening)
		w.now = h.when
		h.run()
		if w.now < healed {
			continue
		}
		holders, claims := w.count()
		switch {
		case holders > 0 && claims < 2:
			wrong = 0
		case wrong == 0:
			wrong = w.now
		case w.now-wrong > down:
			return fmt.Errorf("%d holders, %d owners from %v to %v", holders, claims, wrong, w.now)
		}
	}
	if n, _ := w.count(); n != 1 {
		return fmt.Errorf("%d owners in the end", n)
	}
	for i, r := range w.routers {
		if active := r.m.State() == vrrp.Active; active != r.holding || r.m.Adopting() {
			return fmt.Errorf("router %d is %v and holding=%v", i, r.m.State(), r.holding)
		}
	}
	return nil
}

func TestModel(t *testing.T) {
	for seed := range uint64(6000) {
		if err := newModel(seed).run(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestModelNaps: an Active that stood still for long, and again and again for
// short times after that, leaves its successor alone.
func TestModelNaps(t *testing.T) {
	for seed := range uint64(2000) {
		w := &model{rnd: rand.New(rand.NewPCG(seed, 2)), iv: time.Second, now: calm * time.Second}
		if seed%2 == 1 {
			w.iv = 10 * time.Millisecond
		}
		for i := range 3 {
			w.routers = append(w.routers, &router{cfg: vrrp.Config{
				Version: 3, Interval: w.iv, Priority: uint8(100 + 50*w.rnd.IntN(3)), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
			}})
			w.after(w.upTo(w.iv), func() { w.start(i) })
		}
		run := func(intervals int, check func()) {
			for end := w.now + time.Duration(intervals)*w.iv; w.todo[0].when < end; check() {
				h := heap.Pop(&w.todo).(happening)
				w.now = h.when
				h.run()
			}
		}
		run(6, func() {})
		r := w.routers[slices.IndexFunc(w.routers, func(r *router) bool { return r.m.State() == vrrp.Active })]
		r.asleep = w.now + 8*w.iv
		run(8, func() {})
		var nap func()
		nap = func() {
			r.asleep = w.now + w.upTo(3*w.iv)
			w.after(r.asleep-w.now+w.upTo(2*w.iv), nap)
		}
		w.after(w.upTo(w.iv), nap)
		knows := false
		run(100, func() {
			switch yielded := r.m.State() != vrrp.Active; {
			case yielded:
				knows = true
			case knows && !t.Failed():
				t.Errorf("seed %d: Active again at %v", seed, w.now)
			}
		})
		if !knows {
			t.Errorf("seed %d: never knew", seed)
		}
	}
}
