package main

import (
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// jitterAdvert is the shortest interval there is (RFC 9568, section 5.2.7).
const jitterAdvert = 10 * time.Millisecond

// adverts is what was heard of an edge.
type adverts struct {
	gaps    []time.Duration
	changes int // of the sender
}

// jitter measures the time between adverts, as the kernel of a peer stamps
// them, while a proxy under load takes every processor: one of its own
// process, as on an edge node. All ways to run a director share that load at
// the same moment, with a Backup each that is to stay one.
func jitter(t lab.T, o options) {
	l := lab.New(t)
	binary := func(name string, prefix ...string) program {
		p := portico(o.portico)
		p.name, p.command = name, append(prefix, p.command[len(asUnit):]...)
		return p
	}
	programs := []program{
		portico(o.portico),
		binary("portico, nice 0"),
		binary("portico, nice -15", "nice", "-n", "-15"),
		keepalived(t),
	}
	var edges []*edge
	for _, p := range programs {
		edges = append(edges, newEdge(t, l, p, jitterAdvert, 2))
	}
	side(t, edges, func(_ int, e *edge) { e.begin() })

	node := l.Node("proxy")
	node.AddAddr("lo", podAddr+"/32")
	startOrigin(t, node)
	proxy := startPortico(t, node, site{cert: writeCertificate(t, node)}, o.portico)

	idle := listen(t, edges, func() {
		t.Logf("adverts without load")
		time.Sleep(o.length)
	})
	requests := 0
	busy := listen(t, edges, func() {
		for round := range o.rounds {
			t.Logf("adverts under load, round %d of %d", round+1, o.rounds)
			requests += proxy.measure(t, node, loads[0], o.length).requests
		}
	})
	t.Logf("\nms between adverts of a %s interval; the load is a proxy that answers %d requests/s",
		jitterAdvert, requests/int(max(1, (time.Duration(o.rounds)*o.length).Seconds())))
	t.Logf("%-22s %22s   %s", "", "without load", "both processors taken")
	t.Logf("%-22s %7s %6s %7s   %7s %6s %6s %7s %8s", "", "median", "p99", "max", "median", "p99", "p99.9", "max", "changes of owner")
	for i, p := range programs {
		a, b := idle[i], busy[i]
		t.Logf("%-22s %7.1f %6.1f %7.1f   %7.1f %6.1f %6.1f %7.1f %8d", p.name,
			a.quantile(.5), a.quantile(.99), a.quantile(1), b.quantile(.5), b.quantile(.99), b.quantile(.999), b.quantile(1), b.changes)
	}
}

// listen captures the adverts of all edges while do runs.
func listen(t lab.T, edges []*edge, do func()) []adverts {
	var captures []*lab.Proc
	for _, e := range edges {
		c := e.client.Start(need(t, "tcpdump", "tcpdump"), "-n", "-tt", "--nano", "-Z", "root", "-i", "eth0", "vrrp")
		c.WaitLog("listening on", 10*time.Second)
		captures = append(captures, c)
	}
	do()
	var heard []adverts
	for _, c := range captures {
		c.Signal(os.Interrupt) // it then writes what it holds
		c.Wait()
		heard = append(heard, parseAdverts(c.Log()))
	}
	return heard
}

var advertLine = regexp.MustCompile(`(?m)^([0-9]+)\.([0-9]{9}) IP ([0-9.]+) > .* prio ([0-9]+),`)

// parseAdverts reads what tcpdump wrote.
func parseAdverts(log string) (a adverts) {
	var last time.Time
	var sender string
	for _, m := range advertLine.FindAllStringSubmatch(log, -1) {
		sec, _ := strconv.ParseInt(m[1], 10, 64)
		nsec, _ := strconv.ParseInt(m[2], 10, 64)
		at := time.Unix(sec, nsec)
		if !last.IsZero() {
			a.gaps = append(a.gaps, at.Sub(last))
		}
		if sender != "" && sender != m[3] {
			a.changes++
		}
		last, sender = at, m[3]
	}
	slices.Sort(a.gaps)
	return a
}

// quantile is in milliseconds.
func (a adverts) quantile(q float64) float64 {
	if len(a.gaps) == 0 {
		return math.Inf(1)
	}
	return float64(a.gaps[int(q*float64(len(a.gaps)-1))].Microseconds()) / 1e3
}
