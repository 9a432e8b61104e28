package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portico-lb/portico/test/lab"
)

// podAddr is where the origin listens; proxies reach it as a Pod.
const podAddr = "10.244.0.5"

// cpu measures the CPU time of the proxies' processes alone: throughput on a
// busy machine measures the machine.
func cpu(t lab.T, o options) {
	node := lab.New(t).Node("bench")
	node.AddAddr("lo", podAddr+"/32")
	s := site{cert: writeCertificate(t, node), log: o.log}
	startOrigin(t, node)
	proxies := []*proxy{startPortico(t, node, s, o.portico), startNginx(t, node, s), startHAProxy(t, node, s)}
	loads := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return !strings.Contains(l.name, o.only) })

	results := map[string][]sample{}
	for round := range o.rounds {
		for _, l := range loads {
			for _, p := range proxies {
				t.Logf("round %d of %d: %s through %s", round+1, o.rounds, l.name, p.name)
				key := p.name + l.name
				results[key] = append(results[key], p.measure(t, node, l, o.length))
			}
		}
	}
	t.Logf("\nCPU time of the proxy alone, µs per request, and latency p50/p99 in ms; medians of %d rounds of %s; 2 threads, 64 connections, loopback", o.rounds, o.length)
	t.Logf("%-26s %22s %22s %22s   %s", "", "portico", "nginx", "haproxy", "portico / nginx: median, least, most")
	for _, l := range loads {
		var cells [3]string
		for i, p := range proxies {
			cells[i] = summary(results[p.name+l.name])
		}
		r := ratios(results["portico"+l.name], results["nginx"+l.name])
		t.Logf("%-26s %22s %22s %22s   %.2f  %.2f %.2f", l.name, cells[0], cells[1], cells[2], median(r), slices.Min(r), slices.Max(r))
	}
}

// ratios compares round by round: what else the machine does in a round hits
// both.
func ratios(a, b []sample) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i].cpuPerRequest() / b[i].cpuPerRequest()
	}
	return out
}

// median returns the middle of the values.
func median[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
