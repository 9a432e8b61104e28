// Package l4_test measures what many services cost the director, beside
// keepalived: how soon after a start the kernel has them, what a reload that
// changes one weight does to the others, and what they cost at rest. It needs
// a kernel with IPVS:
//
//	PORTICO_BIN=$PWD/bin/portico go test -run '^$' -bench . -benchtime 1x -exec "$PWD/bin/vm" ./test/bench/l4
package l4_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

const (
	vip       = "172.20.0.50"
	firstPort = 1000
	perEach   = 10 // servers of a service
	held      = 50 // connections that live through the reload
	// settled is how long after the last change the tool may still make others:
	// longer than any period of either.
	settled = 8 * time.Second
	rest    = 10 * time.Second
	limit   = 5 * time.Minute
)

// A tool is a program that keeps services in the kernel.
type tool struct {
	config func(dir string, services, weight int) string
	start  func(n *lab.Node, file string) *lab.Proc
}

func BenchmarkPortico(b *testing.B) {
	portico := tool{porticoConfig, func(n *lab.Node, file string) *lab.Proc {
		// Without a group to win: services stand from the start, as keepalived's do.
		return n.Start(os.Getenv("PORTICO_BIN"), "run", "--config", file, "--only", "l4,health")
	}}
	for _, services := range []int{500, 1000} {
		b.Run(fmt.Sprintf("%dx%d", services, perEach), func(b *testing.B) { portico.measure(b, services) })
	}
}

func BenchmarkKeepalived(b *testing.B) {
	keepalived := tool{keepalivedConfig, func(n *lab.Node, file string) *lab.Proc {
		return n.Start("keepalived", "-n", "-l", "-C", "-f", file, "-p", file+".pid", "-c", file+".check.pid")
	}}
	for _, services := range []int{500, 1000} {
		b.Run(fmt.Sprintf("%dx%d", services, perEach), func(b *testing.B) { keepalived.measure(b, services) })
	}
}

func (x tool) measure(b *testing.B, services int) {
	lab.NeedIPVS(b)
	l := lab.New(b)
	lan := l.Network("lan")
	n, client := l.Node("director"), l.Node("client")
	n.Attach(lan, "eth0", "172.20.0.1/24", vip+"/32")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	// All servers are this node, which takes what is sent to them for its own.
	n.Output("ip", "route", "add", "local", "10.64.0.0/16", "dev", "lo")
	n.NoReversePathFilter()
	for _, port := range []int{80, firstPort} {
		n.Echo(fmt.Sprintf(":%d", port))
	}
	// Another tool's, with counters.
	n.Output("ipvsadm", "-A", "-u", vip+":53", "-s", "rr")
	n.Output("ipvsadm", "-a", "-u", vip+":53", "-r", "10.64.255.1", "-g")
	datagrams(b, client, 10)

	s := watch(b, n)
	file := filepath.Join(n.Dir(), "config")
	write(b, file, x.config(n.Dir(), services, 1))
	s.reset()
	began := time.Now()
	p := x.start(n, file)
	b.Cleanup(func() { p.Stop() })
	wait(b, "all servers in the table", func() bool { return bytes.Count(table(n), []byte("  -> ")) >= services*perEach+2 })
	total, kinds, latest := s.seen()
	b.ReportMetric(p.CPU().Seconds(), "start-cpu-s")
	b.ReportMetric(latest.Sub(began).Seconds(), "start-s")
	b.ReportMetric(float64(total), "start-messages")
	b.Logf("start: %s", kinds)
	wait(b, "all servers in service", func() bool { return bytes.Count(table(n), []byte(" Route   1 ")) >= services*perEach+1 })
	b.ReportMetric(time.Since(began).Seconds(), "serving-s")

	conns := hold(b, client)
	time.Sleep(settled)
	spent := p.CPU()
	time.Sleep(rest)
	b.ReportMetric((p.CPU()-spent).Seconds()*float64(time.Minute/rest), "rest-cpu-s/min")

	stats, known := counters(n), connections(n)
	write(b, file, x.config(n.Dir(), services, 2))
	s.reset()
	spent, began = p.CPU(), time.Now()
	p.Signal(syscall.SIGHUP)
	wait(b, "the weight in the table", func() bool { return bytes.Contains(table(n), []byte(" Route   2 ")) })
	time.Sleep(settled)
	total, kinds, latest = s.seen()
	b.ReportMetric(float64(latest.Sub(began).Microseconds())/1000, "reload-ms")
	b.ReportMetric(float64(total), "reload-messages")
	b.ReportMetric((p.CPU() - spent).Seconds(), "reload-cpu-s")
	b.Logf("reload: %s", kinds)
	for what, lines := range map[string][]string{"counters": differing(stats, counters(n)), "connections": differing(known, connections(n))} {
		b.ReportMetric(float64(len(lines)), what+"-touched")
		for _, line := range lines {
			b.Logf("%s: %s", what, line)
		}
	}
	b.ReportMetric(float64(broken(conns)), "connections-broken")
	b.ReportMetric(0, "ns/op") // not shown
}
