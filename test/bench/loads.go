package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A load is one way of asking.
type load struct {
	name string
	path string
	tls  bool
	// command asks; URL, LENGTH and REQUESTS stand for what they say.
	command []string
}

func wrk(args ...string) []string {
	return append([]string{"wrk", "-t2", "-c64", "--latency", "-d", "LENGTH", "-H", "Host: bench.example", "URL"}, args...)
}

var loads = []load{
	{"100 B keep-alive", "/100", false, wrk()},
	{"10 KiB keep-alive", "/10k", false, wrk()},
	{"1 MiB", "/1m", false, wrk()},
	{"64 KiB chunked", "/64k.shtml", false, wrk()},
	{"new connection", "/100", false, wrk("-H", "Connection: close")},
	{"TLS keep-alive", "/100", true, wrk()},
	{"TLS full handshake", "/100", true, []string{"SELF", "-length", "LENGTH", "-url", "URL", "handshakes"}},
	{"HTTP/2 over TLS", "/100", true, []string{"h2load", "-t2", "-c64", "-m8", "-n", "REQUESTS", "-H", ":authority: bench.example", "URL"}},
}

// h2Rate is about how many requests of HTTP/2 two processors serve in a second.
// h2load is told a number: when told a time, it does not always end.
const h2Rate = 20000

// generate runs l's command against a proxy's address and returns what it says.
func (l load) generate(t lab.T, node *lab.Node, p *proxy, length time.Duration) string {
	t.Helper()
	url := "http://127.0.0.1:" + p.port + l.path
	if l.tls {
		url = "https://127.0.0.1:" + p.tlsPort + l.path
	}
	self, err := os.Executable()
	check(t, err)
	words := strings.NewReplacer("URL", url, "LENGTH", length.String(), "SELF", self,
		"REQUESTS", strconv.Itoa(int(h2Rate*length.Seconds())))
	var args []string
	for _, a := range l.command {
		args = append(args, words.Replace(a))
	}
	return node.Output(args[0], args[1:]...)
}

// The generators' reports: wrk's, which handshakes imitates, and h2load's.
var (
	requestsLine = regexp.MustCompile(`(\d+) requests in|, (\d+) succeeded`)
	errorsLine   = regexp.MustCompile(`(?m)^ *(?:Socket errors|Non-2xx).*$|[1-9]\d* (?:failed|errored|timeout),?.*$`)
	p50Line      = regexp.MustCompile(`50% +([\d.]+)(us|ms|s)`)
	p99Line      = regexp.MustCompile(`99% +([\d.]+)(us|ms|s)`)
	meanLine     = regexp.MustCompile(`time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)`)
)

// requestsIn returns the first number that pattern finds.
func requestsIn(report string) int {
	for _, s := range requestsLine.FindStringSubmatch(report) {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	}
	return 0
}

// millis returns the time that a pattern finds in a report, 0 for none.
func millis(report string, pattern *regexp.Regexp) float64 {
	m := pattern.FindStringSubmatch(report)
	if m == nil {
		return 0
	}
	d, err := time.ParseDuration(m[1] + m[2])
	if err != nil {
		return 0
	}
	return float64(d.Microseconds()) / 1e3
}
