// Package xdp_test measures the program at the driver and what feeds it: the
// time it takes with a packet, by itself (on any kernel) and within a director
// that may as well be IPVS or a router (in a guest that counts instructions),
// and what a change of the servers costs.
package xdp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	manyFlows = 1 << 20
	rounds    = 5
	noLimit   = uint64(1) << 40
)

// BenchmarkProgram runs the program alone. Of each figure, what the generator
// takes for itself is left out; its own is that of "nothing". Beside known flows
// stands what one lookup of them takes by itself, which the program cannot do
// without.
func BenchmarkProgram(b *testing.B) {
	nothing := newGenerator(b, into(b, constant(b, xdpPass)))
	idle := course{Dst: ownMAC, Src: routerMAC, Mask: manyFlows - 1}
	base := walk(b, nothing, idle)
	b.Run("nothing", func(b *testing.B) { report(b, base, 0) })
	for _, flows := range []int{1, 1 << 10, manyFlows} {
		b.Run(fmt.Sprintf("%d known flows", flows), func(b *testing.B) {
			d := newDirector(b, ownMAC, 1, 100, 2*manyFlows, map[string]any{"flood_rate": noLimit})
			g := newGenerator(b, into(b, d.PorticoL4))
			c := course{Dst: ownMAC, Src: routerMAC, Mask: uint64(flows - 1)}
			walk(b, g, c) // makes them known
			before := d.remembered()
			report(b, walk(b, g, c), base)
			if before != uint64(flows) || d.remembered() != before {
				b.Errorf("%d flows were new, then %d more: %s", before, d.remembered()-before, d.verdicts())
			}
			bare := walk(b, newGenerator(b, into(b, lookup(b, d.Flows4))), c)
			b.ReportMetric(float64(bare-base)/manyFlows, "ns/lookup")
			b.ReportMetric(float64(memory(b, d.Flows4))/2/manyFlows/float64(ebpf.MustPossibleCPU()), "B/flow")
		})
	}
	for _, rate := range []uint64{noLimit, 0} {
		name := map[bool]string{true: "new flows, remembered", false: "new flows, by the table alone"}[rate == noLimit]
		b.Run(name, func(b *testing.B) {
			d := newDirector(b, ownMAC, 1, 100, 2*manyFlows, map[string]any{"flood_rate": rate})
			g := newGenerator(b, into(b, d.PorticoL4))
			report(b, walk(b, g, course{Dst: ownMAC, Src: routerMAC, Mask: 1<<30 - 1}), base)
			if d.sent() < rounds*manyFlows { // a run that a signal ended is run again
				b.Errorf("not all were sent: %s", d.verdicts())
			}
		})
	}
	b.Run("of no service", func(b *testing.B) {
		d := newDirector(b, ownMAC, 1, 100, 2*manyFlows, nil)
		g := newGenerator(b, into(b, d.PorticoL4))
		frame := datagram(service)
		frame[37]++ // another port
		g.set(b, idle)
		report(b, timed(b, g, frame), base)
	})
}

// report is about the time of manyFlows frames.
func report(b *testing.B, d, less time.Duration) {
	b.ReportMetric(float64(d-less)/manyFlows, "ns/packet")
	b.ReportMetric(0, "ns/op") // not shown
}

// walk is what the frames of a course take, manyFlows of them.
func walk(b *testing.B, g *generator, c course) time.Duration {
	g.set(b, c)
	return timed(b, g, datagram(service))
}

// timed is the processor time of the thread, since the machine may have other
// work, in the round that this disturbed least.
func timed(b *testing.B, g *generator, frame []byte) time.Duration {
	b.Helper()
	onOneCPU(b)
	var all []time.Duration
	for range rounds {
		began := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		if _, err := g.Run(&ebpf.RunOptions{Data: frame, Repeat: manyFlows}); err != nil {
			b.Fatal(err)
		}
		all = append(all, clock(unix.CLOCK_THREAD_CPUTIME_ID)-began)
	}
	return slices.Min(all)
}
