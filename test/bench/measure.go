package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A sample is one measurement.
type sample struct {
	cpu      time.Duration
	requests int
}

// cpuPerRequest returns microseconds.
func (s sample) cpuPerRequest() float64 {
	return float64(s.cpu.Nanoseconds()) / 1e3 / float64(s.requests)
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	errorsLine   = regexp.MustCompile(`(?m)^ *(Socket errors|Non-2xx).*$`)
)

// measure loads p by wrk and returns what that cost p's processes. An error
// that a client saw ends the benchmark: a figure of failures is none.
func (p *proxy) measure(t lab.T, node *lab.Node, l load, length time.Duration) sample {
	t.Helper()
	args := append([]string{"-t2", "-c64", "-d", length.String(), "-H", "Host: bench.example"}, l.args...)
	before := cpuTime(t, p.proc.Pid())
	out := node.Output("wrk", append(args, "http://127.0.0.1:"+p.port+l.path)...)
	cost := cpuTime(t, p.proc.Pid()) - before
	m := requestsLine.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("wrk says nothing of requests:\n%s", out)
	}
	if e := errorsLine.FindString(out); e != "" {
		t.Fatalf("%s, %s: %s", p.name, l.name, e)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		t.Fatalf("%s, %s: no request was answered:\n%s", p.name, l.name, out)
	}
	return sample{cost, n}
}

// clockTick is how many units of /proc/PID/stat make a second; Linux shows 100
// to user space on every platform (proc(5)).
const clockTick = 100

// cpuTime returns the user and system time of a process and its children.
func cpuTime(t lab.T, pid int) time.Duration {
	t.Helper()
	var ticks int
	for _, p := range tree(pid) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(p) + "/stat")
		if err != nil {
			continue // a worker that ended
		}
		// Fields are counted behind the command's name, which may hold blanks.
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		utime, err1 := strconv.Atoi(f[11])
		stime, err2 := strconv.Atoi(f[12])
		if err1 != nil || err2 != nil {
			t.Fatalf("stat of %d: %s", p, stat)
		}
		ticks += utime + stime
	}
	return time.Duration(ticks) * time.Second / clockTick
}

// tree returns pid and its descendants.
func tree(pid int) []int {
	out := []int{pid}
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for f := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(out, tree(child)...)
			}
		}
	}
	return out
}
