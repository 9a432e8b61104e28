package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestIndex puts, replaces and removes names of all lengths, as it comes, in copies
// too, and compares with a map each time.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d.test", strings.Repeat("a", random.IntN(60)), i)
	}
	x, want := (&index{}).clone(0), map[string]*site{}
	for step := range 30000 {
		before, had := x, want[names[0]]
		name := names[random.IntN(len(names))]
		var s *site
		if random.IntN(3) > 0 {
			s = newSite([]Spec{{Host: name, Path: "/"}})
		}
		if step%16 == 0 {
			x = x.clone(random.IntN(3))
		}
		if old := x.put(name, s); old != want[name] {
			t.Fatalf("step %d: %s: %p was replaced, want %p", step, name, old, want[name])
		}
		if step%16 == 0 && before.find([]byte(names[0])).site != had {
			t.Fatalf("step %d: what was copied has changed", step)
		}
		if want[name] = s; s == nil {
			delete(want, name)
		}
		if x.size != len(want) {
			t.Fatalf("step %d: size %d, want %d", step, x.size, len(want))
		}
		if step%100 != 0 {
			continue
		}
		for _, name := range names {
			if got := x.find([]byte(name)).site; got != want[name] {
				t.Fatalf("step %d: %s: found %p, want %p", step, name, got, want[name])
			}
		}
		for s := range x.all() {
			if want[s.host] != s {
				t.Fatalf("step %d: %s is yielded and is not there", step, s.host)
			}
		}
	}
}
