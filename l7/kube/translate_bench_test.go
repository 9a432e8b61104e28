package kube

import (
	"fmt"
	"testing"
)

// BenchmarkRoutes translates 10,000 Ingresses of two rules, with and without
// annotations.
func BenchmarkRoutes(b *testing.B) {
	for _, annotations := range []map[string]string{
		nil,
		{traefikOwn + "rule-type": "PathPrefixStrip", traefikOwn + "redirect-entry-point": "https", traefikOwn + "frame-deny": "true"},
	} {
		o := &Objects{}
		for i := range 10000 {
			one := traefikObjects(annotations, fmt.Sprintf("/p%d", i))
			ing := one.Ingresses[0]
			ing.Name = fmt.Sprintf("ing-%d", i)
			ing.Spec.Rules[0].Host = fmt.Sprintf("h%d.example", i)
			o.Ingresses = append(o.Ingresses, ing)
			o.Services = append(o.Services, one.Services...)
		}
		for d := range Dialects() {
			b.Run(fmt.Sprintf("%s/annotations=%d", Dialect(d), len(annotations)), func(b *testing.B) {
				for b.Loop() {
					Routes(o, options(Dialect(d)))
				}
			})
		}
	}
}
