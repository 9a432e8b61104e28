package kube

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// TestFew shows that it says what a map says, before it has an index and after.
func TestFew(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for keys := range 3 * fewListed {
		var f few[int, int]
		want := map[int]int{}
		for range 4 * keys {
			k, v := rnd.IntN(keys), rnd.Int()
			if got := f.set(k, v); got != v {
				t.Fatalf("set returned %d for %d", got, v)
			}
			want[k] = v
		}
		if got := maps.Collect(f.all()); !maps.Equal(got, want) {
			t.Fatalf("%d keys: %v, want %v", keys, got, want)
		}
		for k := range keys + 1 {
			v, ok := f.get(k)
			if w, there := want[k]; v != w || ok != there {
				t.Fatalf("%d of %d keys: %d, %v, want %d, %v", k, keys, v, ok, w, there)
			}
		}
	}
}
