package scenario

import "testing"

// TestWeightFromServer lets a server ask for less of its weight, for nothing,
// and for all of it again.
func TestWeightFromServer(t *testing.T) {
	f := newFarm(t, 2, 1)
	modest := f.servers[1]
	for _, s := range f.servers {
		s.say("100%")
	}
	d := f.director(0, `scheduler = "wrr"
check = { kind = "http", path = "/weight", weight_from = "body", interval = "500ms", timeout = "500ms" }
`+f.list(", weight = 100", f.servers...))
	d.waitWeight(100, f.servers...)
	streams := d.hold(4)

	for _, step := range []struct {
		says   string
		weight int
		share  int // of 30 requests
	}{
		{"50%", 50, 10}, {"0", 0, 0}, {"100", 100, 15},
	} {
		modest.say(step.says)
		took := d.waitWeight(step.weight, modest)
		tally := f.client.Burst(30, 1, d.request())
		figure(t, "the server says %q: weight %d after %v; %v", step.says, step.weight, took, tally)
		if tally.Answered != 30 || tally.By[modest.Name()] != step.share {
			t.Errorf("%q: %v, want %d answered by %s", step.says, tally, step.share, modest.Name())
		}
	}
	if n := alive(streams); n != 4 {
		t.Errorf("%d of 4 streams are alive", n)
	}
}
