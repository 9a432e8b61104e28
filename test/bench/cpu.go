package main

import (
	"cmp"
	"slices"

	"github.com/portico-lb/portico/test/lab"
)

// podAddr is where the origin listens; proxies reach it as a Pod.
const podAddr = "10.244.0.5"

// A load is one way of asking.
type load struct {
	name string
	path string
	// args go to wrk.
	args []string
}

var loads = []load{
	{"100 B keep-alive", "/100", nil},
	{"10 KiB keep-alive", "/10k", nil},
	{"1 MiB", "/1m", nil},
	{"new connection", "/100", []string{"-H", "Connection: close"}},
}

// cpu measures the CPU time of the proxies' processes alone: throughput on a
// busy machine measures the machine.
func cpu(t lab.T, o options) {
	node := lab.New(t).Node("bench")
	node.AddAddr("lo", podAddr+"/32")
	startOrigin(t, node)
	proxies := []*proxy{startPortico(t, node, o.portico), startNginx(t, node), startHAProxy(t, node)}

	results := map[string][]float64{}
	for round := range o.rounds {
		for _, l := range loads {
			for _, p := range proxies {
				t.Logf("round %d of %d: %s through %s", round+1, o.rounds, l.name, p.name)
				key := p.name + l.name
				results[key] = append(results[key], p.measure(t, node, l, o.length).cpuPerRequest())
			}
		}
	}
	t.Logf("\nCPU time of the proxy alone, µs per request; median of %d rounds of %s; 2 threads, 64 connections, loopback", o.rounds, o.length)
	t.Logf("%-20s %10s %10s %10s   %s", "", "portico", "nginx", "haproxy", "portico / nginx")
	for _, l := range loads {
		cpu := make([]float64, len(proxies))
		for i, p := range proxies {
			cpu[i] = median(results[p.name+l.name])
		}
		t.Logf("%-20s %10.1f %10.1f %10.1f   %.2f", l.name, cpu[0], cpu[1], cpu[2], cpu[0]/cpu[1])
	}
}

// median returns the middle of the values.
func median[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
