package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A site is what the proxies serve: bench.example, and before it more hosts,
// each with a backend of its own where they are apart.
type site struct {
	cert  string
	hosts int
	apart bool
	log   bool // each request is logged
}

// each joins what line makes of each host and the number of its backend, 0
// being that of bench.example.
func (s site) each(line func(host string, backend int) string) string {
	var out strings.Builder
	for i := range s.hosts {
		backend := 0
		if s.apart {
			backend = i + 1
		}
		out.WriteString(line(fmt.Sprintf("h%05d.example", i), backend))
	}
	return out.String()
}

func (s site) backends() int {
	if s.apart {
		return s.hosts + 1
	}
	return 1
}

// settling is how long a proxy has to give back what it needed to start.
const settling = 5 * time.Second

// routes measures what many hosts cost: the time until the last is served, the
// memory then, and a request for any of them beside requests for one.
func routes(t lab.T, o options) {
	node := lab.New(t).Node("bench")
	node.AddAddr("lo", podAddr+"/32")
	cert := writeCertificate(t, node)
	startOrigin(t, node)
	all := site{cert: cert, hosts: o.hosts, apart: true}
	t.Logf("%d hosts and backends: until the last is served, memory (PSS) then, and when settled %v later", o.hosts, settling)
	for _, start := range starters(t, node, o) {
		p := start(all)
		took := time.Since(p.proc.Began())
		then := pss(t, p.proc.Pid())
		time.Sleep(settling)
		t.Logf("%-10s %8d ms %8d MB %8d MB", p.name, took.Milliseconds(), then>>20, pss(t, p.proc.Pid())>>20)
		_ = p.proc.Stop() // how it ends is no matter
	}
	var proxies []*proxy
	for _, start := range starters(t, node, o) {
		proxies = append(proxies, start(site{cert: cert, hosts: o.hosts}))
	}
	// What is looked for is less than what the machine's pace changes by within
	// seconds: many short measurements, each load first as often as the other.
	const parts = 4
	one, any := hostsLoad(t, node, 1, o.hosts), hostsLoad(t, node, o.hosts, o.hosts)
	results := map[string][]sample{}
	for round := range parts * o.rounds {
		pair := []load{one, any}
		if round%2 == 1 {
			pair = []load{any, one}
		}
		for _, p := range proxies {
			for _, l := range pair {
				results[p.name+l.name] = append(results[p.name+l.name], p.measure(t, node, l, max(o.length/parts, time.Second)))
			}
		}
	}
	t.Logf("\nCPU time a request in µs (p50/p99 in ms), 100 B keep-alive: one host, any of %d, the second by the first", o.hosts)
	for _, p := range proxies {
		a, b := results[p.name+one.name], results[p.name+any.name]
		t.Logf("%-10s %22s %22s   %.3f", p.name, summary(a), summary(b), median(ratios(b, a)))
	}
}

// starters start the proxies with a site.
func starters(t lab.T, node *lab.Node, o options) []func(site) *proxy {
	return []func(site) *proxy{
		func(s site) *proxy { return startPortico(t, node, s, o.portico) },
		func(s site) *proxy { return startNginx(t, node, s) },
		func(s site) *proxy { return startHAProxy(t, node, s) },
	}
}

// hostsLoad asks for n of the hosts at random. However many they are, the client has
// as many requests, made beforehand: what it costs takes from the caches of the proxy.
func hostsLoad(t lab.T, node *lab.Node, n, most int) load {
	script := filepath.Join(node.Dir(), fmt.Sprintf("hosts-%d.lua", n))
	check(t, os.WriteFile(script, fmt.Appendf(nil, `
local requests = {}
for i = 1, %d do
	requests[i] = string.format("GET /100?%%05d HTTP/1.1\r\nHost: h%%05d.example\r\n\r\n", i, (i - 1) %% %d)
end
request = function() return requests[math.random(#requests)] end
`, most, n), 0o600))
	return load{fmt.Sprintf("%d hosts", n), "/100", false,
		[]string{"wrk", "-t2", "-c64", "--latency", "-d", "LENGTH", "-s", script, "URL"}}
}

var pssLine = regexp.MustCompile(`(?m)^Pss: +(\d+) kB`)

// pss is the memory of a process and its children, shared pages in parts, in
// bytes.
func pss(t lab.T, pid int) (sum int) {
	for _, p := range tree(pid) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(p) + "/smaps_rollup")
		if err != nil {
			continue // one that ended
		}
		kb, err := strconv.Atoi(string(pssLine.FindSubmatch(text)[1]))
		check(t, err)
		sum += kb << 10
	}
	return sum
}
