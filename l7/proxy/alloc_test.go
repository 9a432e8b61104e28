//go:build !race

package proxy_test

import "testing"

// TestPlainAllocatesNothing holds the plain path to what it promises. The race
// detector has pools lose things, so that it is not for there.
func TestPlainAllocatesNothing(t *testing.T) {
	if r := testing.Benchmark(BenchmarkPlain); r.N < 100 || r.AllocsPerOp() != 0 {
		t.Errorf("of %d requests each: %s", r.N, r.MemString())
	}
}
