package backend

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestJudge plays what happens to an endpoint: each word is an outcome or a
// time that passes, and behind it stands for how long it is out from then.
func TestJudge(t *testing.T) {
	e := Ejection{Failures: 3, Base: 2 * time.Second, Most: 10 * time.Second}
	type step struct {
		what any
		out  time.Duration
	}
	const ill, well, no = GatewayError, Answered, NoConnection
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"three in a row", []step{{ill, 0}, {ill, 0}, {ill, 2 * time.Second}}},
		{"not in a row", []step{{ill, 0}, {ill, 0}, {well, 0}, {ill, 0}, {ill, 0}}},
		{"one dial", []step{{no, 2 * time.Second}}},
		{"longer each time, up to the most", []step{{no, 2 * time.Second}, {2 * time.Second, 0}, {no, 4 * time.Second},
			{4 * time.Second, 0}, {no, 8 * time.Second}, {8 * time.Second, 0}, {no, 10 * time.Second}}},
		{"a trial that fails is enough", []step{{ill, 0}, {ill, 0}, {ill, 2 * time.Second}, {2 * time.Second, 0}, {ill, 4 * time.Second}}},
		{"a trial that goes well", []step{{ill, 0}, {ill, 0}, {ill, 2 * time.Second}, {2 * time.Second, 0}, {well, 0}, {ill, 0}, {ill, 0},
			{ill, 4 * time.Second}}},
		{"well for as long as it was out: the first time again", []step{{no, 2 * time.Second}, {2 * time.Second, 0}, {well, 0},
			{2 * time.Second, 0}, {well, 0}, {no, 2 * time.Second}}},
		{"what was sent before says nothing", []step{{no, 2 * time.Second}, {no, 2 * time.Second}, {well, 2 * time.Second},
			{time.Second, time.Second}, {ill, time.Second}}},
		{"a dial that goes well ends what one began", []step{{no, 2 * time.Second}, {"connected", 0}}},
		{"and nothing else", []step{{ill, 0}, {ill, 0}, {ill, 2 * time.Second}, {"connected", 2 * time.Second}}},
	} {
		var j judge
		now := int64(time.Hour)
		for i, s := range tc.steps {
			switch what := s.what.(type) {
			case time.Duration:
				now += int64(what)
			case string:
				j.connected(now)
			case Outcome:
				if what == Answered {
					j.well(now)
				} else {
					j.ill(what, now, e)
				}
			}
			if got := time.Duration(max(0, j.out-now)); got != s.out {
				t.Errorf("%s: step %d: out for %v, want %v", tc.name, i, got, s.out)
			}
		}
	}
}

// TestJudgeBounds plays outcomes at random: nobody is out for longer than the
// most, and after it one that goes well ends it.
func TestJudgeBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	e := Ejection{Failures: 3, Base: time.Second, Most: time.Minute}
	for range 1000 {
		var j judge
		now := int64(1)
		for range 200 {
			now += rnd.Int64N(int64(10 * time.Second))
			switch rnd.IntN(4) {
			case 0:
				j.well(now)
			case 1:
				j.connected(now)
			default:
				j.ill(GatewayError+Outcome(rnd.IntN(5)), now, e)
			}
			if j.out > now+int64(e.Most) {
				t.Fatalf("%+v at %v", j, time.Duration(now))
			}
		}
		now += int64(e.Most)
		if j.well(now); j.out != 0 {
			t.Fatalf("%+v is out for ever", j)
		}
		now += int64(e.Most)
		if j.well(now); !j.untroubled() {
			t.Fatalf("%+v is not forgotten", j)
		}
	}
	// Without a limit of failures, dials count alone.
	j := judge{}
	for range 1000 {
		j.ill(Died, 1, Ejection{Base: 1, Most: 1})
	}
	if j.out != 0 {
		t.Error("ejected by what does not count")
	}
}
