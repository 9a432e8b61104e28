// Command bench measures portico beside the programs it replaces, on the same
// machine in the same run, in network namespaces of its own:
//
//	cpu       CPU time the proxy spends on a request, beside nginx and HAProxy
//	routes    start, memory and requests with 10,000 hosts, beside the same
//	handshakes  a generator of load: a TLS handshake a request
//	failover  what a client sees of a failover, beside keepalived
//	jitter    how regular adverts are while the proxy takes all processors
//
// Rounds are interleaved or side by side, and medians printed, so that what
// else the machine does hits all alike. `make bench` runs the first, `make
// bench-failover` the others.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// options are what the command line says.
type options struct {
	portico string
	rounds  int
	length  time.Duration
	adverts []time.Duration
	every   time.Duration
	nodes   int
	hosts   int
	only    string
	log     bool
	url     string
}

var subjects = map[string]func(lab.T, options){"cpu": cpu, "failover": failover, "jitter": jitter, "routes": routes, "handshakes": handshakes}

func main() {
	var o options
	flag.StringVar(&o.portico, "portico", "bin/portico", "binary to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each measures everything once")
	flag.DurationVar(&o.length, "length", 3*time.Second, "how long one measurement of cpu or jitter lasts")
	flag.DurationVar(&o.every, "every", 10*time.Millisecond, "interval of failover's requests")
	flag.IntVar(&o.nodes, "nodes", 2, "failover's directors of each kind")
	flag.IntVar(&o.hosts, "hosts", 10000, "hosts of routes")
	flag.StringVar(&o.only, "only", "", "measure the loads alone whose name has this in it")
	flag.BoolVar(&o.log, "log", false, "have portico and nginx log each request of cpu to a file")
	flag.StringVar(&o.url, "url", "", "what handshakes asks for")
	adverts := flag.String("adverts", "1s,100ms,10ms", "failover's advert intervals")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [flags] cpu|failover|jitter...")
		flag.PrintDefaults()
	}
	flag.Parse()
	for s := range strings.SplitSeq(*adverts, ",") {
		d, err := time.ParseDuration(s)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: -adverts:", err)
			os.Exit(2)
		}
		o.adverts = append(o.adverts, d)
	}
	for _, name := range flag.Args() {
		subject, ok := subjects[name]
		if !ok {
			flag.Usage()
			os.Exit(2)
		}
		if err := lab.Run(os.Stdout, func(t lab.T) { subject(t, o) }); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// need ends the benchmark where a peer is not installed.
func need(t lab.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not installed: apt-get install %s", program, pkg)
	}
	return path
}

func check(t lab.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}
