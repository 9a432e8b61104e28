// Command bench measures the CPU time that portico's proxy spends on a
// request, beside nginx and HAProxy on the same machine in the same run.
//
// Rounds are interleaved and medians printed, so that what else the machine
// does hits all alike; CPU time of the proxy's processes alone is the figure,
// since throughput on a busy machine measures the machine. Everything runs in
// a network namespace of its own. `make bench` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// podAddr is where the origin listens; proxies reach it as a Pod.
const podAddr = "10.244.0.5"

func main() {
	portico := flag.String("portico", "bin/portico", "binary to measure")
	rounds := flag.Int("rounds", 5, "rounds; each measures every proxy in every case")
	length := flag.Duration("length", 3*time.Second, "how long one measurement lasts")
	flag.Parse()
	err := lab.Run(os.Stdout, func(t lab.T) { bench(t, *portico, *rounds, *length) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

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

func bench(t lab.T, portico string, rounds int, length time.Duration) {
	node := lab.New(t).Node("bench")
	node.AddAddr("lo", podAddr+"/32")
	startOrigin(t, node)
	proxies := []*proxy{startPortico(t, node, portico), startNginx(t, node), startHAProxy(t, node)}

	results := map[string][]sample{}
	for round := range rounds {
		for _, l := range loads {
			for _, p := range proxies {
				t.Logf("round %d of %d: %s through %s", round+1, rounds, l.name, p.name)
				key := p.name + l.name
				results[key] = append(results[key], p.measure(t, node, l, length))
			}
		}
	}
	t.Logf("\nCPU time of the proxy alone, µs per request; median of %d rounds of %s; 2 threads, 64 connections, loopback", rounds, length)
	t.Logf("%-20s %10s %10s %10s   %s", "", "portico", "nginx", "haproxy", "portico / nginx")
	for _, l := range loads {
		cpu := make([]float64, len(proxies))
		for i, p := range proxies {
			cpu[i] = median(results[p.name+l.name])
		}
		t.Logf("%-20s %10.1f %10.1f %10.1f   %.2f", l.name, cpu[0], cpu[1], cpu[2], cpu[0]/cpu[1])
	}
}

// median returns the middle of the samples' CPU time a request.
func median(s []sample) float64 {
	slices.SortFunc(s, func(a, b sample) int {
		switch {
		case a.cpuPerRequest() < b.cpuPerRequest():
			return -1
		case a.cpuPerRequest() > b.cpuPerRequest():
			return 1
		}
		return 0
	})
	return s[len(s)/2].cpuPerRequest()
}
