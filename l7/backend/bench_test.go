package backend

import (
	"context"
	"testing"
)

// BenchmarkReach is the choice of one of ten endpoints, which allocates
// nothing, by each strategy.
func BenchmarkReach(b *testing.B) {
	for s, name := range []string{"round robin", "least requests", "hash"} {
		b.Run(name, func(b *testing.B) {
			policy := Default()
			policy.Balance.Strategy = Strategy(s)
			p, _ := newPool(b, policy, 10)
			var c Call
			b.ReportAllocs()
			for b.Loop() {
				c.Key++
				e, _ := p.reach(context.Background(), &c)
				e.leave()
			}
		})
	}
}
